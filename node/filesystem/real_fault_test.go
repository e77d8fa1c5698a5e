package filesystem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/device"
)

func TestRealStagingTwiceIsOneMountAndNothingElseIsStagedOver(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disks := lvmtest.RequireDisks(t, 2)
		m := root(t)
		for _, disk := range disks {
			made(t, disk, kind)
		}
		r := StageRequest{Device: disks[0], Type: kind}
		r.Target = m.mounted(t, r)
		if err := m.Stage(r); err != nil || mountsAt(t, r.Target) != 1 {
			t.Errorf("staging again: %v, %d mounts; want 1", err, mountsAt(t, r.Target))
		}
		r.Device = disks[1]
		if err := m.Stage(r); !errors.Is(err, ErrOtherMount) || mountsAt(t, r.Target) != 1 {
			t.Errorf("staging another device there: %v, %d mounts; want ErrOtherMount", err, mountsAt(t, r.Target))
		}
	})
}

func TestRealBindWantsAStagedSourceAndOneThatCanBeWrittenAsAsked(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	r := BindRequest{Source: m.folder(t), Target: filepath.Join(m.Root, "target")}
	if err := m.Bind(r); !errors.Is(err, ErrNotMounted) {
		t.Errorf("binding a folder at which nothing is mounted: %v; want ErrNotMounted", err)
	}
	if _, err := os.Lstat(r.Target); err == nil {
		t.Error("the target was made")
	}
	r.Source, r.ReadOnly = staging, true
	if err := m.Bind(r); err != nil {
		t.Fatal(err)
	}
	r.ReadOnly = false
	if err := m.Bind(r); !errors.Is(err, ErrReadOnly) {
		t.Errorf("binding to be written what is bound read-only: %v; want ErrReadOnly", err)
	}
	if err := m.Bind(BindRequest{Source: staging, Device: true, Target: r.Target + "2"}); !errors.Is(err, unix.ENOTBLK) {
		t.Errorf("binding a folder as a device: %v; want ENOTBLK", err)
	}
}

func TestRealReadOnlyStagingIsBoundAsItIs(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	made(t, disk, XFS)
	staging := m.mounted(t, StageRequest{Device: disk, Type: XFS, ReadOnly: true})
	r := BindRequest{Source: staging, Target: filepath.Join(m.Root, "target")}
	for range 2 {
		if err := m.Bind(r); err != nil {
			t.Error(err)
		}
	}
	if at, _ := m.lookup(t, r.Target); !at.ReadOnly() || hasFailed(t, at) {
		t.Errorf("mounted as %+v; want read-only, and not because it failed", at)
	}
}

func TestRealOnlyVolumesAreUnmounted(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	if err := os.Mkdir(filepath.Join(staging, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	tmpfs, part := m.folder(t), m.folder(t)
	if err := errors.Join(unix.Mount("", tmpfs, "tmpfs", 0, ""), unix.Mount(filepath.Join(staging, "folder"), part, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"a tmpfs": tmpfs, "a part of a file system": part} {
		if err := m.Unmount(target); !errors.Is(err, ErrOtherMount) || mountsAt(t, target) != 1 {
			t.Errorf("unmounting %s: %v, %d mounts left; want ErrOtherMount", name, err, mountsAt(t, target))
		}
	}
}

// failing is a device of which a test may make every access fail.
type failing struct{ path, working, broken string }

const failingName = "loam-filesystem-failing"

func newFailing(t *testing.T) failing {
	t.Helper()
	disk := oneDisk(t)
	size, err := device.Size(disk)
	if err != nil {
		t.Fatal(err)
	}
	whole := "0 " + strconv.FormatInt(int64(size/lvm.Sector), 10)
	f := failing{"/dev/mapper/" + failingName, whole + " linear " + disk + " 0", whole + " error"}
	run(t, "dmsetup", "create", failingName, "--table", f.working)
	run(t, "dmsetup", "mknodes") // where there is no udev
	t.Cleanup(func() { run(t, "dmsetup", "remove", "--retry", failingName); run(t, "dmsetup", "mknodes") })
	return f
}

func (f failing) become(t *testing.T, table string) {
	t.Helper()
	run(t, "dmsetup", "suspend", "--nolockfs", "--noflush", failingName)
	run(t, "dmsetup", "load", failingName, "--table", table)
	run(t, "dmsetup", "resume", failingName)
}

// TestRealFileSystemThatStoppedWritingIsSeenAndCanBeUnmounted is fault 18; an xfs that has shut down answers no stat(2).
func TestRealFileSystemThatStoppedWritingIsSeenAndCanBeUnmounted(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		f := newFailing(t)
		m := root(t)
		staging := m.staged(t, f.path, kind)
		target := filepath.Join(m.Root, "target")
		if err := m.Bind(BindRequest{Source: staging, Target: target}); err != nil {
			t.Fatal(err)
		}
		if at, _ := m.lookup(t, target); hasFailed(t, at) {
			t.Errorf("failed already: %+v", at)
		}
		file, err := os.Create(filepath.Join(target, "file"))
		if err != nil {
			t.Fatal(err)
		}
		f.become(t, f.broken)
		for _, mode := range []os.FileMode{0o600, 0o640} { // ext4 stops at the next change after its journal has failed
			_ = errors.Join(file.Chmod(mode), file.Sync()) // it is told of one failure once
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		if at, mounted := m.lookup(t, target); !mounted || !hasFailed(t, at) {
			t.Errorf("mounted %t as %+v; want it to have failed", mounted, at)
		}
		if err := Grow(context.Background(), GrowRequest{Device: f.path, MountPoint: staging, Type: kind}); err != nil && kind == Ext4 {
			t.Errorf("Grow of one that fills its device: %v", err)
		}
		undo(t, m, target)
		if err := m.Unmount(staging); err != nil {
			t.Error(err)
		}
		f.become(t, f.working)
	})
}

func hasFailed(t *testing.T, m Mount) bool {
	t.Helper()
	failed, err := m.Failed()
	if err != nil {
		t.Fatal(err)
	}
	return failed
}

func TestRealDeviceInUseIsNeitherStagedNorFormatted(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disk := oneDisk(t)
		m := root(t)
		uuid := made(t, disk, kind)
		mkfs, err := os.OpenFile(disk, os.O_RDWR|unix.O_EXCL, 0) // as every mkfs does
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Stage(StageRequest{Device: disk, Type: kind, Target: m.folder(t)}); !errors.Is(err, ErrBusy) {
			t.Errorf("staging what another formats: %v; want ErrBusy", err)
		}
		if err := Make(context.Background(), MakeRequest{Device: disk, Type: kind, UUID: UUID("other")}); err == nil {
			t.Error("formatted what another formats")
		}
		if err := mkfs.Close(); err != nil {
			t.Fatal(err)
		}
		staging := m.mounted(t, StageRequest{Device: disk, Type: kind})
		write(t, filepath.Join(staging, "file"), "x")
		if err := Make(context.Background(), MakeRequest{Device: disk, Type: kind, UUID: UUID("other")}); err == nil {
			t.Error("formatted what is mounted")
		}
		if is, err := Made(disk, kind, uuid); err != nil || !is {
			t.Errorf("Made of one in use = %t, %v", is, err)
		}
	})
}

// TestRealMountingACorruptFileSystemSaysSo is fault 19, for what the kernel itself notices.
func TestRealMountingACorruptFileSystemSaysSo(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	for name, c := range map[string]struct {
		kind   Type
		offset int64
	}{"ext4's group descriptors": {Ext4, 4096}, "ext4's superblock": {Ext4, 1024 + 0x88}, "xfs's superblock": {XFS, 108}} {
		made(t, disk, c.kind)
		f, err := os.OpenFile(disk, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("garbage!garbage!"), c.offset)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := m.Stage(StageRequest{Device: disk, Type: c.kind, Target: m.folder(t)}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("staging with garbage in %s: %v; want ErrCorrupt", name, err)
		}
		if err := Check(context.Background(), disk, c.kind); !errors.Is(err, ErrCorrupt) {
			t.Errorf("checking with garbage in %s: %v; want ErrCorrupt", name, err)
		}
	}
}

func TestRealGrowRefusesWhatItWouldHarmOrDoesNotKnow(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 2)
	m := root(t)
	madeSmall(t, disks[0], Ext4, 400*lvm.MiB)
	run(t, "tune2fs", "-E", "force_fsck", disks[0]) // as the kernel marks what it found errors in
	grow := GrowRequest{Device: disks[0], MountPoint: m.mounted(t, StageRequest{Device: disks[0], Type: Ext4}), Type: Ext4}
	if err := Grow(context.Background(), grow); !errors.Is(err, ErrCorrupt) {
		t.Errorf("growing what has errors: %v; want ErrCorrupt", err)
	}
	other := m.staged(t, disks[1], XFS)
	if err := Grow(context.Background(), GrowRequest{Device: disks[0], MountPoint: other, Type: Ext4}); !errors.Is(err, ErrOtherMount) {
		t.Errorf("growing at a mount of another device: %v; want ErrOtherMount", err)
	}
}

func TestRealGrowThroughAReadOnlyMountIsRefused(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disk := oneDisk(t)
		m := root(t)
		madeSmall(t, disk, kind, 400*lvm.MiB)
		bind := BindRequest{Source: m.mounted(t, StageRequest{Device: disk, Type: kind, Thin: true}), Target: filepath.Join(m.Root, "target"), ReadOnly: true}
		if err := m.Bind(bind); err != nil {
			t.Fatal(err)
		}
		grow := GrowRequest{Device: disk, MountPoint: bind.Target, Type: kind}
		if err := Grow(context.Background(), grow); !errors.Is(err, ErrReadOnly) {
			t.Errorf("growing through a read-only mount: %v; want ErrReadOnly", err)
		}
	})
}

func TestRealMountsOfNamesTargetsAsCallersDo(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	linked := Mounter{Root: filepath.Join(t.TempDir(), "kubelet")}
	if err := os.Symlink(m.Root, linked.Root); err != nil {
		t.Fatal(err)
	}
	staging := filepath.Join(linked.Root, filepath.Base(m.staged(t, disk, Ext4)))
	found, err := linked.MountsOf(number(t, disk))
	if err != nil || len(found) != 1 || found[0].Target != staging {
		t.Errorf("MountsOf = %+v, %v; want one at %s", found, err, staging)
	}
}
