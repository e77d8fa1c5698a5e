package drill

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/nodetest"
)

// anySlot is what the configuration of a drill has as a pool's devices.paths.
const anySlot = "/dev/mapper/slot-*"

// slot is a place for a disk, into which one can be put, and from which it can be pulled.
type slot struct {
	d     *drill
	name  string
	table string
}

func (s slot) path() string { return "/dev/mapper/" + s.name }

// insert puts a disk of that size into slot n, which device-mapper makes of the guest's disk n. Its UUID has a pool take it for the
// one device of a disk with several paths. It begins behind where LVM looks for labels, so that LVM does not see it twice.
func (d *drill) insert(n int, size lvm.Bytes) slot {
	d.t.Helper()
	s := slot{d, fmt.Sprintf("slot-%d", n), fmt.Sprintf("0 %d linear %s 2048", int64(size/lvm.Sector), d.disks[n])}
	d.dmsetup("create", s.name, "--uuid", "mpath-"+s.name, "--table", s.table)
	d.dmsetup("mknodes")
	d.t.Cleanup(func() { s.become(s.table) }) // so that it can be cleaned
	return s
}

func (d *drill) dmsetup(args ...string) {
	d.t.Helper()
	if out, err := exec.Command("dmsetup", append([]string{"--noudevsync"}, args...)...).CombinedOutput(); err != nil {
		d.t.Fatalf("dmsetup %q: %v: %s", args, err, out)
	}
}

// become gives the slot, or another device, another table. What is on its way to it meets the new one.
func (s slot) become(table string) {
	s.d.t.Helper()
	s.d.dmsetup("suspend", "--nolockfs", "--noflush", s.name)
	load := exec.Command("dmsetup", "load", s.name)
	load.Stdin = strings.NewReader(table + "\n")
	out, err := load.CombinedOutput()
	s.d.dmsetup("resume", s.name)
	if err != nil {
		s.d.t.Fatalf("loading %q: %v: %s", table, err, out)
	}
}

// pull takes the disk away: whoever reads or writes it has an error.
func (s slot) pull() {
	s.d.t.Helper()
	s.become("0 " + strings.Fields(s.table)[1] + " error")
}

// on is a device that LVM has made, to be broken like a slot.
func (d *drill) on(name string) slot {
	d.t.Helper()
	table, err := exec.Command("dmsetup", "table", name).Output()
	if err != nil {
		d.t.Fatal(err)
	}
	return slot{d, name, strings.TrimSpace(string(table))}
}

// start starts the agent with pool p.
func (d *drill) start(pool string) {
	d.t.Helper()
	d.agent = nodetest.Start(d.t, d.options(pool))
}

func (d *drill) options(pool string) nodetest.Options {
	if d.agent.Dir == "" {
		d.agent.Dir = d.t.TempDir()
	}
	return nodetest.Options{Config: "pools:\n- " + pool + "\n", Health: d.address, Dir: d.agent.Dir}
}

// volume makes a volume for claim db/NAME.
func (d *drill) volume(name, fs string, size lvm.Bytes) *csi.Volume {
	d.t.Helper()
	req := nodetest.Request(name, fs, size)
	req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/name": name, "csi.storage.k8s.io/pvc/namespace": "db"}
	return d.agent.Create(d.t, req)
}

// kept is a volume with contents that a drill must not change.
type kept struct {
	volume *csi.Volume
	sum    string
}

const contents = 4 * lvm.MiB

// keep mounts a volume and writes to it.
func (d *drill) keep(v *csi.Volume) kept {
	d.t.Helper()
	return kept{v, nodetest.Write(d.t, filepath.Join(d.mount(v), "kept"), contents)}
}

// holds checks the contents, and that the volume takes more.
func (k kept) holds(d *drill) {
	d.t.Helper()
	if got := nodetest.Checksum(d.t, filepath.Join(d.agent.Target(k.volume), "kept"), contents); got != k.sum {
		d.t.Errorf("%s has changed", k.volume.GetVolumeId())
	}
	nodetest.Write(d.t, filepath.Join(d.agent.Target(k.volume), "more"), lvm.MiB)
}

// mount mounts a volume, and sees to it that it is unmounted when the drill ends as it should not.
func (d *drill) mount(v *csi.Volume) string {
	d.t.Helper()
	d.t.Cleanup(func() {
		_ = unix.Unmount(d.agent.Target(v), unix.MNT_DETACH)
		_ = unix.Unmount(d.agent.Staging(v), unix.MNT_DETACH)
	})
	return d.agent.Mount(d.t, v, "ext4")
}

// restart does to a volume what a restart of its pod does.
func (d *drill) restart(v *csi.Volume) {
	d.t.Helper()
	d.agent.Unmount(d.t, v)
	d.mount(v)
}

// fillTo writes into a volume until its pool is at least that full, in percent, or an error comes.
func (d *drill) fillTo(v *csi.Volume, percent float64) error {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.agent.Target(v), "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_SYNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	block := []byte(strings.Repeat("x", int(lvm.MiB)))
	for range 1024 {
		if _, err := f.Write(block); err != nil {
			return err
		}
		pools, err := d.agent.Admin.Pools(context.Background())
		if err != nil {
			d.t.Fatal(err)
		}
		if pools[0].DataPercent >= percent {
			return nil
		}
	}
	d.t.Fatal("a pool does not fill")
	return nil
}

// first is the first field of the first line that has all of those parts.
func (d *drill) first(printed string, parts ...string) string {
	d.t.Helper()
	for line := range strings.Lines(printed) {
		fits := true
		for _, part := range parts {
			fits = fits && strings.Contains(line, part)
		}
		if fits {
			return strings.Fields(line)[0]
		}
	}
	d.t.Fatalf("no line has %q:\n%s", parts, printed)
	return ""
}
