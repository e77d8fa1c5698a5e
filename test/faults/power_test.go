package faults

import (
	"encoding/binary"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// A disk with a write cache is a device of device-mapper that logs what reached the disk for good: a write when the flush after it
// has ended, or at once if it asked for that (FUA), in the order of completion (kernel:
// Documentation/admin-guide/device-mapper/log-writes.rst). Power may be cut between any two entries of the log; what is on the
// disk then are the entries before, and whatever else was written is lost.
type cached struct {
	name, log string
}

// wrote is an entry of the log.
type wrote struct {
	at, length int64  // bytes on the disk
	from       int64  // where in the log its data begin
	mark       string // a test's own; nothing was written
}

// cachedDisk puts such a device over a disk. It passes for a multipath device, as Loam takes no other kind that it does not know.
func cachedDisk(t *testing.T, name, disk, log string) cached {
	t.Helper()
	size := run(t, "blockdev", "--getsz", disk)
	run(t, "dmsetup", "--noudevsync", "create", name, "--uuid", "mpath-"+name, "--table", "0 "+size+" log-writes "+disk+" "+log)
	run(t, "dmsetup", "mknodes")
	return cached{name, log}
}

func (c cached) path() string { return "/dev/mapper/" + c.name }

// mark notes in the log that something was acknowledged, in one word.
func (c cached) mark(t *testing.T, what string) {
	t.Helper()
	run(t, "dmsetup", "message", c.name, "0", "mark", what)
}

// The log's format: struct log_write_super in the first sector, then for each entry a sector with struct log_write_entry, in which
// a mark's text follows, and the data (kernel: drivers/md/dm-log-writes.c).
const (
	logMagic  = 0x6a736677736872
	logMark   = 1 << 3
	logForgot = 1 << 2 // a discard, which the disk of a guest ignores
)

// entries reads the log.
func (c cached) entries(t *testing.T) (all []wrote) {
	t.Helper()
	run(t, "blockdev", "--flushbufs", c.log) // the kernel writes it past the page cache
	f, err := os.Open(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var super struct {
		Magic, Version, Entries uint64
		SectorSize              uint32
	}
	if err := binary.Read(f, binary.LittleEndian, &super); err != nil || super.Magic != logMagic {
		t.Fatalf("%s is no log of writes: %+v, %v", c.log, super, err)
	}
	sector := int64(super.SectorSize)
	at := sector
	for range super.Entries {
		var entry struct{ Sector, Sectors, Flags, Data uint64 }
		head := io.NewSectionReader(f, at, sector)
		if err := binary.Read(head, binary.LittleEndian, &entry); err != nil {
			t.Fatal(err)
		}
		at += sector
		w := wrote{at: int64(entry.Sector) * sector, length: int64(entry.Sectors) * sector, from: at}
		switch {
		case entry.Flags&logMark != 0:
			text := make([]byte, entry.Data)
			if _, err := io.ReadFull(head, text); err != nil {
				t.Fatal(err)
			}
			w.mark = strings.TrimRight(string(text), "\x00")
		case entry.Flags&logForgot != 0:
			w.length = 0
		default:
			at += w.length
		}
		all = append(all, w)
	}
	return all
}

// after is a disk as it is found after the power was cut behind those entries, as a loop device.
func (c cached) after(t *testing.T, entries []wrote, size int64) (device string) {
	t.Helper()
	log, err := os.Open(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	image, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if err := image.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, w := range entries {
		if _, err := io.Copy(io.NewOffsetWriter(image, w.at), io.NewSectionReader(log, w.from, w.length)); err != nil {
			t.Fatal(err)
		}
	}
	device = run(t, "losetup", "--find", "--show", image.Name())
	t.Cleanup(func() { run(t, "losetup", "--detach", device) })
	return device
}

// acknowledged is what an orchestrator knew by the time of a mark.
type acknowledged struct {
	mark    string
	sizes   map[string]lvm.Bytes // of the volumes that it was told of, at least
	deleted []string
	leaving string // that it asked to be deleted next
	sum     string // of what was synced to volume v; "" for nothing
	state   string // a copy of the agent's own files
}

// story is what an orchestrator does on a cached disk, with a mark after each answer.
type story struct {
	t     *testing.T
	disk  cached
	agent nodetest.Agent
	known acknowledged
	all   []acknowledged
}

func (s *story) acknowledge(mark string) {
	s.t.Helper()
	s.known.mark, s.known.state = mark, filepath.Join(s.t.TempDir(), "state")
	run(s.t, "cp", "-a", filepath.Join(s.agent.Dir, "state"), s.known.state)
	s.disk.mark(s.t, mark)
	a := s.known
	a.sizes, a.deleted = maps.Clone(a.sizes), slices.Clone(a.deleted)
	s.all = append(s.all, a)
}

func (s *story) create(name, fs string, size lvm.Bytes) *csi.Volume {
	s.t.Helper()
	v := s.agent.Create(s.t, nodetest.Request(name, fs, size))
	s.known.sizes[name] = size
	s.acknowledge(name + "-was-made")
	return v
}

func tell(t *testing.T, disk cached, kind string) []acknowledged {
	t.Helper()
	s := story{t: t, disk: disk, agent: nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool(kind, disk.path())})}
	s.known.sizes = map[string]lvm.Bytes{}
	v, w := s.create("v", "ext4", 64*lvm.MiB), s.create("w", "", 32*lvm.MiB)
	file := nodetest.File(s.agent.Mount(t, v, "ext4"), "ext4")
	s.known.sum = nodetest.Write(t, file, 4*lvm.MiB)
	s.acknowledge("v-was-written")
	s.agent.Expand(t, v, 96*lvm.MiB)
	s.known.sizes["v"] = 96 * lvm.MiB
	s.acknowledge("v-was-grown")
	if kind == "thin" {
		taken := s.agent.Snapshot(t, v, "s")
		s.known.sizes[filepath.Base(taken.GetSnapshotId())] = 96 * lvm.MiB
		s.acknowledge("s-was-taken")
	}
	s.known.leaving = "w"
	s.acknowledge("w-is-to-go")
	s.agent.Delete(t, w)
	delete(s.known.sizes, "w")
	s.known.leaving, s.known.deleted = "", []string{"w"}
	s.acknowledge("w-was-deleted")
	s.agent.Unmount(t, v)
	s.agent.Stop()
	nodetest.Deactivate(t, disk.path(), "loam-"+kind)
	return s.all
}

// cuts are the numbers of entries behind which the power is cut: each mark, and some in between and before the first.
func cuts(log []wrote) (points []int) {
	for i, before := 0, 0; i < len(log); i++ {
		if log[i].mark == "" {
			continue
		}
		for k := range 3 {
			points = append(points, before+(i-before)*(k+1)/4)
		}
		points, before = append(points, i+1), i+1
	}
	return slices.Compact(points)
}

func TestFault8PowerCutTakesNothingBackThatWasAcknowledged(t *testing.T) {
	lvmtest.Long(t)
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disks := lvmtest.RequireDisks(t, 2)
			size, err := strconv.ParseInt(run(t, "blockdev", "--getsize64", disks[0]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			disk := cachedDisk(t, "cut", disks[0], disks[1])
			told := tell(t, disk, kind)
			log := disk.entries(t)
			run(t, "dmsetup", "--noudevsync", "remove", disk.name)
			run(t, "dd", "if=/dev/zero", "of="+disks[0], "bs=1M", "count=32", "oflag=direct") // what is found later must not meet its twin
			points := some(cuts(log), 1)
			t.Logf("power is cut behind %d of %d writes and flushes", points, len(log))
			for _, n := range points {
				t.Run(strconv.Itoa(n), func(t *testing.T) {
					var known acknowledged
					exact := false
					for i, w := range log[:n] {
						if j := slices.IndexFunc(told, func(a acknowledged) bool { return a.mark == w.mark }); j >= 0 {
							known, exact = told[j], i == n-1
						}
					}
					if !exact {
						delete(known.sizes, known.leaving)
					}
					known.holds(t, disk.after(t, log[:n], size), kind)
				})
			}
		})
	}
}

// holds starts an agent on what is left of a disk, which keeps what it said, and goes on.
func (a acknowledged) holds(t *testing.T, disk, kind string) {
	t.Helper()
	o := nodetest.Options{Config: nodetest.OnePool(kind, disk), Dir: t.TempDir()}
	if a.state != "" {
		run(t, "cp", "-a", a.state, filepath.Join(o.Dir, "state"))
	}
	agent := nodetest.Start(t, o)
	defer nodetest.Deactivate(t, disk, "loam-"+kind)
	defer agent.Stop()
	vg := healthy(t, "loam-"+kind, disk)
	for name, size := range a.sizes {
		if lv, ok := vg.LV(name); !ok || lv.Size < size || lv.Health != lvm.Healthy {
			t.Errorf("after %q: %s is there %v, of %v, %q; want %v", a.mark, name, ok, lv.Size, lv.Health, size)
		}
	}
	for _, name := range a.deleted {
		if _, ok := vg.LV(name); ok {
			t.Errorf("after %q: %s is there again", a.mark, name)
		}
	}
	if a.sum != "" {
		v := &csi.Volume{VolumeId: nodetest.NodeID + "/v"}
		if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), 4*lvm.MiB); got != a.sum {
			t.Errorf("after %q: what was synced to the volume is lost", a.mark)
		}
		agent.Unmount(t, v)
	}
	v := agent.Create(t, nodetest.Request("next", "", 16*lvm.MiB))
	empty(t, agent.Mount(t, v, ""), 16*lvm.MiB)
	agent.Unmount(t, v)
	agent.Delete(t, v)
}
