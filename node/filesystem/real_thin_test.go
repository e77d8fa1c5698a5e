package filesystem

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// thinPool is a thin pool on a blank disk, from which it makes volumes that are larger than the disk.
type thinPool struct {
	*lvm.LVM
	group string
}

func newThinPool(t *testing.T, disk string) thinPool {
	t.Helper()
	group := groupOn(disk)
	l := lvm.New(lvm.Options{ConfigDir: t.TempDir()})
	if err := l.Available(); err != nil {
		t.Fatal(err)
	}
	l.SetDevices([]string{disk})
	err := l.CreateGroup(lvm.CreateGroup{Name: group, Devices: []string{disk}})
	if err == nil {
		err = l.CreatePool(lvm.CreatePool{VG: group, Name: "pool", Size: 800 * lvm.MiB, MetadataSize: 8 * lvm.MiB, ChunkSize: 64 * lvm.KiB})
	}
	if err != nil {
		t.Fatal(err)
	}
	return thinPool{l, group}
}

// groupOn is the name of the volume group on a disk: tests on different disks run in parallel.
func groupOn(disk string) string { return "loam-" + filepath.Base(disk) }

func (p thinPool) create(t *testing.T, name string, size lvm.Bytes) string {
	t.Helper()
	if err := p.CreateThin(lvm.CreateThin{VG: p.group, Pool: "pool", Name: name, Size: size}); err != nil {
		t.Fatal(err)
	}
	return p.device(t, name).Path
}

func (p thinPool) device(t *testing.T, name string) lvm.Device {
	t.Helper()
	d, err := p.Device(p.group, name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mebibytes(b lvm.Bytes) float64 { return float64(b) / float64(lvm.MiB) }

// TestRealNewFileSystemAllocatesLittleOfAThinPool: of an xfs 64 MiB are its log, which mkfs.xfs always writes and does not
// make smaller.
func TestRealNewFileSystemAllocatesLittleOfAThinPool(t *testing.T) {
	for _, c := range []struct {
		kind Type
		most lvm.Bytes
	}{{Ext4, 10 * lvm.MiB}, {XFS, 70 * lvm.MiB}} {
		t.Run(string(c.kind), func(t *testing.T) {
			p := newThinPool(t, oneDisk(t))
			device := p.create(t, "v", 10*lvm.GiB)
			uuid := made(t, device, c.kind)
			mapped := p.device(t, "v").Mapped
			t.Logf("mkfs.%s of 10 GiB allocates %.1f MiB", c.kind, mebibytes(mapped))
			if mapped <= 0 || mapped >= c.most {
				t.Errorf("mkfs.%s of 10 GiB allocates %v; want less than %v", c.kind, mapped, c.most)
			}
			if is, err := Made(device, c.kind, uuid); err != nil || !is {
				t.Errorf("Made = %t, %v", is, err)
			}
		})
	}
}

// TestRealMountedExt4DoesNotFillItsInodeTablesOnAThinPool compares with what the kernel does unless told not to.
// It mostly waits for the kernel.
func TestRealMountedExt4DoesNotFillItsInodeTablesOnAThinPool(t *testing.T) {
	t.Parallel()
	p := newThinPool(t, lvmtest.RequireLastDisk(t))
	m := root(t)
	names := []string{"written", "left"}
	devices, targets, before := map[string]string{}, map[string]string{}, map[string]lvm.Bytes{}
	for _, name := range names {
		devices[name] = p.create(t, name, 10*lvm.GiB)
		made(t, devices[name], Ext4)
		before[name] = p.device(t, name).Mapped
		targets[name] = m.mounted(t, StageRequest{Device: devices[name], Type: Ext4, Thin: name == "left"})
	}
	after := p.settled(t, names...)
	for _, name := range names {
		write(t, filepath.Join(targets[name], "file"), "x")
		if err := m.Unmount(targets[name]); err != nil {
			t.Fatal(err)
		}
		assertClean(t, MakeRequest{Device: devices[name], Type: Ext4}, name)
	}
	left, written := after["left"]-before["left"], after["written"]-before["written"]
	t.Logf("mounting ext4 of 10 GiB allocates %.1f MiB with noinit_itable, %.1f MiB without", mebibytes(left), mebibytes(written))
	if left >= 5*lvm.MiB || written < 2*left {
		t.Errorf("mounting allocates %v with noinit_itable, %v without", left, written)
	}
}

// settled is what volumes have allocated once that no longer grows: the kernel initialises one block group's tables, then
// rests for ten times as long as that took (ext4(5), init_itable).
func (p thinPool) settled(t *testing.T, names ...string) map[string]lvm.Bytes {
	t.Helper()
	var last map[string]lvm.Bytes
	for range 20 {
		now := map[string]lvm.Bytes{}
		for _, name := range names {
			now[name] = p.device(t, name).Mapped
		}
		if maps.Equal(now, last) {
			break
		}
		last = now
		time.Sleep(6 * time.Second) // the kernel begins up to five seconds after the mount, at random
	}
	return last
}

func TestRealGrowFollowsAThinVolumeTwentyfold(t *testing.T) {
	t.Parallel() // with TestRealMountedExt4DoesNotFillItsInodeTablesOnAThinPool
	for _, c := range []struct {
		kind     Type
		from, to lvm.Bytes
	}{{Ext4, MinimumSize(Ext4), 20 * MinimumSize(Ext4)}, {Ext4, 512 * lvm.MiB, 10 * lvm.GiB}, {XFS, MinimumSize(XFS), 20 * MinimumSize(XFS)}} {
		t.Run(string(c.kind)+" of "+c.from.String(), func(t *testing.T) {
			p := newThinPool(t, oneDisk(t))
			m := root(t)
			device := p.create(t, "v", c.from)
			target := m.staged(t, device, c.kind)
			write(t, filepath.Join(target, "file"), "x")
			grow := GrowRequest{Device: device, MountPoint: target, Type: c.kind}
			m.assertFull(t, grow)
			if err := p.Extend(p.group, "v", c.to); err != nil {
				t.Fatal(err)
			}
			if err := Grow(context.Background(), grow); err != nil {
				t.Fatal(err)
			}
			m.assertFull(t, grow)
			if err := m.Unmount(target); err != nil {
				t.Fatal(err)
			}
			assertClean(t, MakeRequest{Device: device, Type: c.kind}, "grown twentyfold")
		})
	}
}

// TestRealGrowWritesNoInodeTablesOnAThinPool: what the kernel writes of itself when 1 GiB grows to 100 is 1.6 GiB.
func TestRealGrowWritesNoInodeTablesOnAThinPool(t *testing.T) {
	p := newThinPool(t, oneDisk(t))
	m := root(t)
	device := p.create(t, "v", lvm.GiB)
	made(t, device, Ext4)
	target := m.mounted(t, StageRequest{Device: device, Type: Ext4, Thin: true})
	grow := GrowRequest{Device: device, MountPoint: target, Type: Ext4}
	for _, to := range []lvm.Bytes{10 * lvm.GiB, 100 * lvm.GiB, lvm.TiB} {
		before := p.device(t, "v").Mapped
		if err := p.Extend(p.group, "v", to); err != nil {
			t.Fatal(err)
		}
		if err := Grow(context.Background(), grow); err != nil {
			t.Fatal(err)
		}
		m.assertFull(t, grow)
		run(t, "sync")
		took := p.device(t, "v").Mapped - before
		t.Logf("growing to %v allocates %.1f MiB", to, mebibytes(took))
		if most := to / 1000; took > most {
			t.Errorf("growing to %v allocates %v; want less than %v", to, took, most)
		}
		if at, _ := m.lookup(t, target); !slices.Contains(at.SuperOptions, noTables) || !slices.Contains(at.SuperOptions, "errors=remount-ro") {
			t.Errorf("after it grew it is mounted with %q", at.SuperOptions)
		}
	}
	if err := m.Unmount(target); err != nil {
		t.Fatal(err)
	}
	assertClean(t, MakeRequest{Device: device, Type: Ext4}, "grown a thousandfold")
}

func TestRealWipeLeavesNothingAndSparesWhatIsMounted(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 1)
	l := lvm.New(lvm.Options{ConfigDir: t.TempDir()})
	l.SetDevices(disks)
	err := l.CreateGroup(lvm.CreateGroup{Name: groupOn(disks[0]), Devices: disks})
	if err == nil {
		err = l.CreateThick(lvm.CreateThick{VG: groupOn(disks[0]), Name: "v", Size: 100 * lvm.MiB})
	}
	if err != nil {
		t.Fatal(err)
	}
	device := thinPool{l, groupOn(disks[0])}.device(t, "v").Path
	m := root(t)
	target := m.staged(t, device, Ext4)
	if err := Zero(context.Background(), device); err == nil {
		t.Fatal("zeroed what is mounted")
	}
	if err := m.Unmount(target); err != nil {
		t.Fatal(err)
	}
	// A process that is being started holds what its parent had open, and lets it go.
	closing, err := OpenAlone(device, os.O_RDONLY)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { closing.Close() })
	if err := Zero(context.Background(), device); err != nil {
		t.Fatal(err)
	}
	for i, c := range contents(t, device, 100*lvm.MiB) {
		if c != 0 {
			t.Fatalf("byte %d is %#x", i, c)
		}
	}
}

func TestRealSuperblockThatCannotBeReadIsNotAbsent(t *testing.T) {
	oneDisk(t) // tells where there is no device-mapper
	const name = "loam-filesystem-error"
	run(t, "dmsetup", "create", name, "--table", "0 65536 error")
	t.Cleanup(func() { run(t, "dmsetup", "remove", "--retry", name); run(t, "dmsetup", "mknodes") })
	run(t, "dmsetup", "mknodes") // where there is no udev
	device := "/dev/mapper/" + name
	if is, err := Made(device, Ext4, UUID("v")); !errors.Is(err, unix.EIO) {
		t.Errorf("Made = %t, %v; want the device's error", is, err)
	}
	m := root(t)
	for _, kind := range []Type{Ext4, XFS} {
		if err := m.Stage(StageRequest{Device: device, Type: kind, Target: m.folder(t)}); !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EINVAL) {
			t.Errorf("Stage = %v; want the kernel's error", err)
		}
		if err := Check(context.Background(), device, kind); err != nil {
			t.Errorf("Check(%s) = %v; nobody could read it", kind, err)
		}
	}
}
