package lvm_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

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
func (r *machine) head(device string) []byte {
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

// Configurations name disks by /dev/disk/by-id; LVM reports the name that it prefers.
func TestNodesThatAreMissingOrAnothersAreMade(t *testing.T) {
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
	for _, name := range []string{"a", "b"} {
		r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: name, Size: 4 * lvm.MiB}))
	}
	node := func(lv string) (path string, number uint64) {
		d, err := r.l.Device(vg, lv)
		r.must(err)
		var s unix.Stat_t
		r.must(unix.Stat(d.Path, &s))
		if want := unix.Mkdev(d.Major, d.Minor); s.Rdev != want {
			t.Errorf("%s is device %x, want %x", d.Path, s.Rdev, want)
		}
		return d.Path, s.Rdev
	}
	a, _ := node("a")
	_, b := node("b")
	r.must(os.Remove(a))
	node("a")
	r.must(os.Remove(a))
	r.must(unix.Mknod(a, unix.S_IFBLK|0o600, int(b)))
	node("a")
}

func TestDevicesMayBeNamedByLinks(t *testing.T) {
	r := start(t, lvm.Options{})
	link := "/dev/loam-test-link"
	r.must(os.Symlink(r.devices[0], link))
	t.Cleanup(func() { os.Remove(link) })
	r.l.SetDevices([]string{link, r.devices[0]})
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: []string{link}}))
	group, _ := r.report().VolumeGroup(vg)
	if len(group.PVs) != 1 || group.PVs[0].Duplicate || group.PVs[0].Device != r.devices[0] && group.PVs[0].Device != link {
		t.Errorf("unexpected: %+v", group)
	}
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "a", Size: 4 * lvm.MiB}))
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
		take func(*machine)
		is   func(lvm.VolumeGroup) bool
		back func(*machine)
	}{
		{
			"exported", func(r *machine) { r.lvm("vgexport", vg) }, func(g lvm.VolumeGroup) bool { return g.Exported },
			func(r *machine) { r.lvm("vgimport", vg) },
		},
		{
			"of another host", func(r *machine) { r.lvm("vgchange", "--yes", "--systemid", "other-host", vg) },
			func(g lvm.VolumeGroup) bool { return g.SystemID == "other-host" }, nil,
		},
		{
			"on a copied disk", func(r *machine) { r.copyHead(r.devices[0], r.devices[1]) },
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

func TestUnfinishedIsOnlyWhatNobodyUsed(t *testing.T) {
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	const size = 16 * lvm.MiB
	is := func(want bool, what string) {
		t.Helper()
		if got, err := lvm.Unfinished(r.devices[0], size); err != nil || got != want {
			t.Errorf("%s: unfinished %v, error %v; want %v", what, got, err, want)
		}
	}
	wipe := func() { // other tests had metadata there
		r.must(exec.Command("dd", "if=/dev/zero", "of="+r.devices[0], "bs=1M", "count=32", "oflag=direct").Run())
	}
	wipe()
	is(false, "a blank disk")
	r.must(exec.Command("lvm", "pvcreate", "-qq", r.devices[0]).Run())
	is(false, "a physical volume with a metadata area of another size")
	r.must(exec.Command("lvm", "pvremove", "-qq", r.devices[0]).Run())
	if err := r.l.ExtendGroup("no-such", size, r.devices[0]); err == nil {
		t.Error("a group that does not exist was extended")
	}
	is(true, "a physical volume of a group that was never made")
	data := []byte("somebody's")
	last := func(b []byte) {
		f, err := os.OpenFile(r.devices[0], os.O_WRONLY|unix.O_SYNC, 0)
		r.must(err)
		end, err := f.Seek(-512, io.SeekEnd)
		r.must(err)
		_, err = f.WriteAt(b, end)
		r.must(errors.Join(err, f.Close()))
	}
	last(data)
	is(false, "one with data at its end")
	last(make([]byte, len(data)))
	is(true, "one without them again")
	r.must(r.l.Clear(vg, r.devices[0]))
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1], MetadataSize: size}))
	is(false, "a group's physical volume")
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "v", Size: 4 * lvm.MiB}))
	r.must(r.l.Remove(vg, "v"))
	r.must(exec.Command("lvm", "vgremove", "-qq", vg).Run())
	is(false, "a physical volume of a group that was used and removed")
}
