package lvm_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestRealLVM(t *testing.T) {
	lvmtest.Run(t, func(t *testing.T) (lvmtest.LVM, []string) {
		return open(t, lvm.Options{})
	})
}

const vg = "loam-real"

// open returns real LVM over blank disks.
func open(t *testing.T, o lvm.Options) (*lvm.LVM, []string) {
	t.Helper()
	devices := lvmtest.RequireDisks(t, lvmtest.SuiteDisks)
	l := lvm.New(o)
	if err := l.Available(); err != nil {
		t.Fatal(err)
	}
	l.SetDevices(devices)
	return l, devices
}

// real is a test with LVM and the disks that it may look at.
type real struct {
	t       *testing.T
	l       *lvm.LVM
	devices []string
}

func start(t *testing.T, o lvm.Options) *real {
	t.Helper()
	l, devices := open(t, o)
	return &real{t, l, devices}
}

func (r *real) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *real) report() lvm.Report {
	r.t.Helper()
	report, err := r.l.Report(context.Background())
	r.must(err)
	return report
}

func (r *real) lv(name string) lvm.LogicalVolume {
	r.t.Helper()
	group, _ := r.report().VolumeGroup(vg)
	lv, ok := group.LV(name)
	if !ok {
		r.t.Fatalf("no volume %s in %+v", name, group)
	}
	return lv
}

func (r *real) device(name string) lvm.Device {
	r.t.Helper()
	d, err := r.l.Device(vg, name)
	r.must(err)
	return d
}

// pool makes a group of the first disk and a pool in it.
func (r *real) pool(p lvm.CreatePool) {
	r.t.Helper()
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
	r.must(r.l.CreatePool(p))
}

// smallPool makes a pool and a thin volume "a" of 40 MiB.
func (r *real) smallPool() {
	r.t.Helper()
	r.pool(lvm.CreatePool{VG: vg, Name: "pool", Size: 64 * lvm.MiB})
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 40 * lvm.MiB}))
}

// lvm runs what the package has no method for, as somebody else on the machine would.
func (r *real) lvm(args ...string) {
	r.t.Helper()
	line := append([]string{args[0], "--config", lvm.Settings + "backup{backup=0 archive=0}", "--devices", strings.Join(r.devices, ",")}, args[1:]...)
	if out, err := exec.Command("lvm", line...).CombinedOutput(); err != nil {
		r.t.Fatalf("lvm %q: %v: %s", args, err, out)
	}
}

// open holds a volume open until the test ends.
func (r *real) open(name string) (release func()) {
	r.t.Helper()
	f, err := os.Open(r.device(name).Path)
	r.must(err)
	release = sync.OnceFunc(func() { f.Close() })
	r.t.Cleanup(release)
	return release
}

// write fills a part of a volume with something and waits until it is on its device.
func (r *real) write(name string, at, size lvm.Bytes) {
	r.t.Helper()
	f, err := os.OpenFile(r.device(name).Path, os.O_WRONLY, 0)
	r.must(err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte(name), int(size)/len(name)+1)[:size], int64(at))
	r.must(err)
	r.must(f.Sync())
}

// fill writes to a volume until its pool has no room, and returns the error.
func (r *real) fill(name string) error {
	r.t.Helper()
	f, err := os.OpenFile(r.device(name).Path, os.O_WRONLY, 0)
	r.must(err)
	defer f.Close()
	block := bytes.Repeat([]byte{1}, 1<<20)
	for {
		_, err := f.Write(block)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// read returns a part of a volume as its device has it now.
func (r *real) read(name string, at, size lvm.Bytes) []byte {
	r.t.Helper()
	f, err := os.Open(r.device(name).Path)
	r.must(err)
	defer f.Close()
	b := make([]byte, size)
	_, err = f.ReadAt(b, int64(at))
	r.must(err)
	return b
}

// copyHead copies what makes a device a physical volume.
func (r *real) copyHead(from, to string) {
	r.t.Helper()
	src, err := os.Open(from)
	r.must(err)
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY, 0)
	r.must(err)
	defer dst.Close()
	_, err = io.CopyN(dst, src, 2<<20)
	r.must(err)
	r.must(dst.Sync())
	r.t.Cleanup(func() { // or the group could not be removed
		if err := os.WriteFile(to, make([]byte, 2<<20), 0); err != nil {
			r.t.Error(err)
		}
	})
}

func TestEachOperationIsOneProcess(t *testing.T) {
	var mu sync.Mutex
	var ran []string
	r := start(t, lvm.Options{Observe: func(c lvm.Command) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, c.Args[0])
	}})
	l := r.l
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}) }, "vgcreate"},
		{func() error { return l.ExtendGroup(vg, 0, r.devices[1]) }, "vgextend"},
		{func() error { return l.CreatePool(lvm.CreatePool{VG: vg, Name: "pool", Size: 40 * lvm.MiB}) }, "lvcreate"},
		{func() error {
			return l.ExtendPool(lvm.ExtendPool{VG: vg, Name: "pool", Size: 80 * lvm.MiB, MetadataSize: 8 * lvm.MiB})
		}, "lvextend"},
		{func() error { return l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 8 * lvm.MiB}) }, "lvcreate"},
		{func() error { return l.CreateThick(lvm.CreateThick{VG: vg, Name: "b", Size: 8 * lvm.MiB}) }, "lvcreate"},
		{func() error {
			return l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "c", Pool: "pool"})
		}, "lvcreate"},
		{func() error { return l.Extend(vg, "a", 12*lvm.MiB) }, "lvextend"},
		{func() error { return l.Activate(vg, "a", "b", "c") }, "lvchange"},
		{func() error { return l.Deactivate(vg, "a", "b", "c") }, "lvchange"},
		{func() error {
			return l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a", "b", "c"}, Add: []string{"t"}})
		}, "lvchange"},
		{func() error { return l.Rename(vg, "a", "d") }, "lvrename"},
		{func() error { _, err := l.Report(context.Background()); return err }, "fullreport"},
		{func() error { return l.Remove(vg, "b", "c", "d") }, "lvremove"},
		{func() error { _, err := l.Device(vg, "pool"); return err }, ""},
	} {
		ran = nil
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.want, err)
		}
		if got := strings.Join(ran, " "); got != step.want {
			t.Errorf("ran %q, expected %q", got, step.want)
		}
	}
}

// LVM says nothing of our settings but what it thinks is wrong with them.
func TestLVMKnowsTheSettings(t *testing.T) {
	r := start(t, lvm.Options{})
	out, err := exec.Command("lvm", "lvmconfig", "--validate", "--config", strings.Replace(lvm.Settings, "checks=0", "checks=1", 1)).CombinedOutput()
	if err != nil || strings.Contains(string(out), "unknown") || strings.Contains(string(out), "invalid") {
		r.t.Errorf("%v: %s", err, out)
	}
}

func TestBackupIsKept(t *testing.T) {
	dir := t.TempDir()
	r := start(t, lvm.Options{BackupDir: dir})
	r.smallPool()
	text, err := os.ReadFile(dir + "/" + vg)
	if err != nil || !strings.Contains(string(text), "a {") {
		t.Errorf("backup: %v\n%s", err, text)
	}
}

// flushes is how many flush requests a disk has completed (kernel: Documentation/block/stat.rst, field 16).
func flushes(t *testing.T, device string) string {
	t.Helper()
	stat, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(device, "/dev/") + "/stat")
	if err != nil {
		t.Skipf("no flush counter of %s: %v", device, err)
	}
	fields := strings.Fields(string(stat))
	if len(fields) < 16 {
		t.Skipf("this kernel counts no flushes")
	}
	return fields[15]
}

// LVM itself never flushes: without it a power cut takes acknowledged volumes back.
func TestChangesAreFlushedToTheDisk(t *testing.T) {
	r := start(t, lvm.Options{})
	if cache, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(r.devices[0], "/dev/") + "/queue/write_cache"); err != nil || string(cache) != "write back\n" {
		t.Skipf("%s has no volatile write cache: %q, %v", r.devices[0], cache, err)
	}
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2]}))
	for _, d := range r.devices[:2] {
		before := flushes(t, d)
		r.must(r.l.ChangeTags(lvm.ChangeTags{VG: vg, Names: r.thick(d), Add: []string{"t"}}))
		if after := flushes(t, d); after == before {
			t.Errorf("%s was not flushed: %s flushes before and after", d, before)
		}
	}
}

// thick makes a volume named after a device.
func (r *real) thick(device string) []string {
	r.t.Helper()
	name := strings.ReplaceAll(strings.TrimPrefix(device, "/dev/"), "/", "-")
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: name, Size: 4 * lvm.MiB}))
	return []string{name}
}

func TestOpenVolumeIsNotRemoved(t *testing.T) {
	r := start(t, lvm.Options{})
	r.smallPool()
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "b", Size: 40 * lvm.MiB}))
	release := r.open("a")
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		if err := r.l.Remove(vg, names...); err == nil {
			t.Errorf("removed %v", names)
		}
	}
	if a := r.lv("a"); !a.Active || !a.Open {
		t.Errorf("unexpected: %+v", a)
	}
	if d := r.device("a"); d.OpenCount != 1 {
		t.Errorf("open count is %d", d.OpenCount)
	}
	if err := r.l.Deactivate(vg, "a"); err == nil {
		t.Error("an open volume was deactivated")
	}
	release()
	r.must(r.l.Remove(vg, "a"))
}

func TestCloneHasItsOwnContents(t *testing.T) {
	r := start(t, lvm.Options{})
	r.smallPool()
	r.write("a", 0, lvm.MiB)
	r.must(r.l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "snap", Pool: "pool"}))
	r.must(r.l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "snap", Name: "clone", Pool: "pool", Writable: true}))
	if got := r.read("clone", 0, lvm.MiB); !bytes.Equal(got, bytes.Repeat([]byte("a"), 1<<20)) {
		t.Error("the clone does not hold what its origin held")
	}
	r.write("clone", 0, 5*lvm.KiB)
	if got := r.read("a", 0, 5*lvm.KiB); !bytes.Equal(got, bytes.Repeat([]byte("a"), 5<<10)) {
		t.Error("writing to the clone changed its origin")
	}
	r.must(r.l.Activate(vg, "snap"))
	if f, err := os.OpenFile(r.device("snap").Path, os.O_WRONLY, 0); err == nil {
		_, err = f.WriteAt(make([]byte, 4096), 0)
		if err == nil {
			err = f.Sync()
		}
		if err == nil {
			t.Error("a read-only snapshot was written")
		}
		f.Close()
	}
}

func TestMappedIsExact(t *testing.T) {
	r := start(t, lvm.Options{})
	r.smallPool()
	r.write("a", lvm.MiB, lvm.MiB)
	r.write("a", 30*lvm.MiB, 1) // one block of the page cache, so one chunk
	want := lvm.MiB + 64*lvm.KiB
	if got := r.device("a").Mapped; got != want {
		t.Errorf("the kernel maps %v, expected %v", got, want)
	}
	for name, size := range map[string]lvm.Bytes{"a": 40 * lvm.MiB, "pool": 64 * lvm.MiB} {
		if got := r.lv(name).Mapped; got < want-size/10000 || got > want+size/10000 {
			t.Errorf("%s: LVM reports %d, expected %d within 0.01 %% of %v", name, got, want, size)
		}
	}
}

func TestFullPoolReturnsErrors(t *testing.T) {
	r := start(t, lvm.Options{})
	r.pool(lvm.CreatePool{VG: vg, Name: "pool", Size: 8 * lvm.MiB})
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 40 * lvm.MiB}))
	if err := r.fill("a"); !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) {
		t.Errorf("a full pool gave the error %v", err)
	}
	p := r.lv("pool")
	if p.Mapped != p.Size || p.Health != lvm.OutOfData {
		t.Errorf("the full pool: %+v", p)
	}
	r.must(r.l.ExtendPool(lvm.ExtendPool{VG: vg, Name: "pool", Size: 64 * lvm.MiB}))
	r.write("a", 20*lvm.MiB, lvm.MiB)
	if p := r.lv("pool"); p.Health != lvm.Healthy {
		t.Errorf("the pool after its extension: %+v", p)
	}
}

func TestDeviceWithDataIsRefusedAndUntouched(t *testing.T) {
	r := start(t, lvm.Options{})
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "nodiscard", r.devices[1]).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	before := r.head(r.devices[1])
	if err := r.l.CreateGroup(lvm.CreateGroup{Name: "other", Devices: r.devices[1:2]}); err == nil {
		t.Error("a group was made of a device with a file system")
	}
	if err := r.l.ExtendGroup(vg, 0, r.devices[1]); err == nil {
		t.Error("a group was extended by a device with a file system")
	}
	if !bytes.Equal(before, r.head(r.devices[1])) {
		t.Error("the device was written to")
	}
}

// head is the beginning of a device, past the page cache of an earlier read.
func (r *real) head(device string) []byte {
	r.t.Helper()
	f, err := os.Open(device)
	r.must(err)
	defer f.Close()
	r.must(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	b := make([]byte, 16<<20)
	_, err = io.ReadFull(f, b)
	r.must(err)
	return b
}

func TestThickVolumeShowsNoOldSignature(t *testing.T) {
	r := start(t, lvm.Options{})
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
	create := lvm.CreateThick{VG: vg, Name: "a", Size: 64 * lvm.MiB}
	r.must(r.l.CreateThick(create))
	if out, err := exec.Command("mkfs.ext4", "-q", r.device("a").Path).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	r.must(r.l.Remove(vg, "a"))
	r.must(r.l.CreateThick(create))
	out, err := exec.Command("blkid", "--probe", r.device("a").Path).CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 2 || len(out) > 0 {
		t.Errorf("a new volume shows %q, error %v, expected nothing and status 2", out, err)
	}
}

// A tenant may make its block volume a physical volume of a group with our name.
func TestPhysicalVolumeInsideAVolumeIsIgnored(t *testing.T) {
	r := start(t, lvm.Options{})
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[1:2]}))
	evil := r.head(r.devices[1])
	r.devices = lvmtest.RequireDisks(t, lvmtest.SuiteDisks)[:1] // wiped
	r.l.SetDevices(r.devices)
	r.smallPool()
	before := r.report()
	inner := r.device("a").Path
	r.must(os.WriteFile(inner, evil, 0))
	after := r.report()
	if len(after.VolumeGroups) != 1 || len(after.Unused) != 0 || after.VolumeGroups[0].UUID != before.VolumeGroups[0].UUID || len(after.VolumeGroups[0].PVs) != 1 {
		t.Errorf("the report was\n%+v\nand is\n%+v", before, after)
	}
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "b", Size: 4 * lvm.MiB}))
	r.lv("b")
	r.l.SetDevices(append(slices.Clone(r.devices), inner)) // even when somebody names it
	if n := len(r.report().VolumeGroups); n != 1 {
		t.Errorf("%d groups", n)
	}
}

func TestGroupsOfOthersAreReportedAndRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		take func(*real)
		is   func(lvm.VolumeGroup) bool
		back func(*real)
	}{
		{
			"exported", func(r *real) { r.lvm("vgexport", vg) }, func(g lvm.VolumeGroup) bool { return g.Exported },
			func(r *real) { r.lvm("vgimport", vg) },
		},
		{
			"of another host", func(r *real) { r.lvm("vgchange", "--yes", "--systemid", "other-host", vg) },
			func(g lvm.VolumeGroup) bool { return g.SystemID == "other-host" }, nil,
		},
		{
			"on a copied disk", func(r *real) { r.copyHead(r.devices[0], r.devices[1]) },
			func(g lvm.VolumeGroup) bool { return g.PVs[0].Duplicate }, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, lvm.Options{})
			r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
			test.take(r)
			group, ok := r.report().VolumeGroup(vg)
			if !ok || !test.is(group) {
				t.Errorf("reported %v: %+v", ok, group)
			}
			if err := r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "a", Size: 4 * lvm.MiB}); err == nil {
				t.Error("a volume was made")
			}
			if test.back != nil {
				test.back(r)
				r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "a", Size: 4 * lvm.MiB}))
			}
		})
	}
}

// A clone without its pool's name takes the way that needs dm-snapshot.
func TestSnapshotWithoutItsPoolsName(t *testing.T) {
	r := start(t, lvm.Options{})
	r.smallPool()
	err := r.l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "snap"})
	if out, _ := exec.Command("dmsetup", "targets").Output(); !strings.Contains(string(out), "\nsnapshot ") && err != nil {
		t.Skipf("this kernel has no dm-snapshot: %v", err)
	}
	r.must(err)
	if lv := r.lv("snap"); lv.Segment != lvm.Thin || lv.Origin != "a" || lv.Active || !lv.ReadOnly {
		t.Errorf("unexpected: %+v", lv)
	}
}
