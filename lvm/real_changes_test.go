package lvm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

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
		{func() error { _, err := l.Report(context.Background()); return err }, ""},
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

// The use of AIO costs each command about 20 ms, and LVM ignores global/use_aio on the command line.
func TestLVMHeedsTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	r := start(t, lvm.Options{ConfigDir: dir})
	_, err := r.l.RawReport()
	r.must(err)
	cmd := exec.Command("lvm", "lvmconfig", "--type", "full", "global/use_aio", "activation/error_when_full", "devices/scan_lvs")
	cmd.Env = append(os.Environ(), "LVM_SYSTEM_DIR="+dir)
	if out, err := cmd.Output(); err != nil || string(out) != "use_aio=0\nerror_when_full=1\nscan_lvs=0\n" {
		t.Errorf("%q, error %v", out, err)
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

// LVM itself never flushes: without us a power cut takes acknowledged volumes back.
func TestChangesAreFlushedToTheDisk(t *testing.T) {
	r := start(t, lvm.Options{})
	if cache, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(r.devices[0], "/dev/") + "/queue/write_cache"); err != nil || string(cache) != "write back\n" {
		t.Skipf("%s has no volatile write cache: %q, %v", r.devices[0], cache, err)
	}
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2]}))
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "a", Size: 4 * lvm.MiB}))
	for _, step := range []struct {
		what    string
		flush   func(string) error
		flushed bool
	}{
		{"LVM alone", func(string) error { return nil }, false},
		{"with our flush", lvm.Fsync, true},
	} {
		r.l.OnFlush(step.flush)
		for _, d := range r.devices[:2] {
			before := flushes(t, d)
			r.must(r.l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a"}, Add: []string{"t"}, Remove: []string{"no-such"}}))
			if after := flushes(t, d); (after != before) != step.flushed {
				t.Errorf("%s: %s had completed %s flushes before and %s after a change", step.what, d, before, after)
			}
			r.must(r.l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a"}, Remove: []string{"t"}}))
		}
	}
}

// LVM tries for five seconds each time, in case that somebody only looks at the volume.
func TestOpenVolumeIsNotRemoved(t *testing.T) {
	t.Parallel()
	r := &machine{t, lvm.New(lvm.Options{}), []string{lvmtest.RequireLastDisk(t)}}
	r.l.SetDevices(r.devices)
	r.smallPool()
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "b", Size: 40 * lvm.MiB}))
	release := r.open("a")
	if err := r.l.Remove(vg, "a", "b"); err == nil {
		t.Error("an open volume was removed")
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
