package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestRealStagingIsNeverSetUserIDNorDevicesAndStopsWritingOnErrors(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disk := oneDisk(t)
		m := root(t)
		made(t, disk, kind)
		target := m.mounted(t, StageRequest{Device: disk, Type: kind, Thin: true})
		got, _ := m.lookup(t, target)
		major, minor := number(t, disk)
		if got.Type != string(kind) || got.Major != major || got.Minor != minor || got.Root != "/" || got.ReadOnly() {
			t.Errorf("mounted as %+v", got)
		}
		for _, want := range []string{"nosuid", "nodev"} {
			if !slices.Contains(got.Options, want) {
				t.Errorf("mounted with %q, without %s", got.Options, want)
			}
		}
		for _, want := range map[Type][]string{Ext4: {"errors=remount-ro", "noinit_itable"}, XFS: {"nouuid"}}[kind] {
			if !slices.Contains(got.SuperOptions, want) {
				t.Errorf("mounted with %q of the file system's own, without %s", got.SuperOptions, want)
			}
		}
	})
}

func TestRealBindIsOneMountHoweverOftenAsked(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disk := oneDisk(t)
		m := root(t)
		staging := m.staged(t, disk, kind)
		for _, name := range []string{"target", "a target with spaces\tand\\40"} {
			r := BindRequest{Source: staging, Target: filepath.Join(m.Root, name)}
			for range 3 {
				if err := m.Bind(r); err != nil {
					t.Fatal(err)
				}
			}
			if n := mountsAt(t, r.Target); n != 1 {
				t.Errorf("%d mounts at %q, want 1", n, r.Target)
			}
			write(t, filepath.Join(r.Target, "file"), "x")
			undo(t, m, r.Target)
		}
	})
}

// undo unmounts and removes a target twice: a retry finds nothing to do.
func undo(t *testing.T, m Mounter, target string) {
	t.Helper()
	for range 2 {
		if err := errors.Join(m.Unmount(target), m.Remove(target)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) || mountsAt(t, target) > 0 {
		t.Errorf("%s is still there: %v", target, err)
	}
}

func TestRealReadOnlyBindLeavesTheStagingWritable(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) {
		disk := oneDisk(t)
		m := root(t)
		staging := m.staged(t, disk, kind)
		r := BindRequest{Source: staging, Target: filepath.Join(m.Root, "target")}
		if err := m.Bind(r); err != nil { // a crash before the mount was made read-only
			t.Fatal(err)
		}
		r.ReadOnly = true
		for range 2 {
			if err := m.Bind(r); err != nil {
				t.Fatal(err)
			}
		}
		got, _ := m.lookup(t, r.Target)
		if mountsAt(t, r.Target) != 1 || !got.ReadOnly() || !slices.Contains(got.Options, "nosuid") || !slices.Contains(got.Options, "nodev") {
			t.Errorf("mounted %d times, as %+v", mountsAt(t, r.Target), got)
		}
		if err := os.WriteFile(filepath.Join(r.Target, "x"), nil, 0o600); !errors.Is(err, unix.EROFS) {
			t.Errorf("writing through the read-only bind: %v; want EROFS", err)
		}
		write(t, filepath.Join(staging, "x"), "x")
	})
}

func TestRealBoundDeviceNodeIsFound(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 2)
	m := root(t)
	r := BindRequest{Source: disks[0], Device: true, Target: filepath.Join(m.Root, "a block volume")}
	for range 2 {
		if err := m.Bind(r); err != nil {
			t.Fatal(err)
		}
	}
	if n := mountsAt(t, r.Target); n != 1 {
		t.Errorf("%d mounts, want 1", n)
	}
	major, minor := number(t, disks[0])
	if gotMajor, gotMinor := number(t, r.Target); gotMajor != major || gotMinor != minor {
		t.Errorf("the target is device %d:%d, want %d:%d", gotMajor, gotMinor, major, minor)
	}
	found, err := MountsOf(major, minor)
	if err != nil || len(found) != 1 || found[0].Target != r.Target {
		t.Errorf("MountsOf(its number) = %+v, %v", found, err)
	}
	if found, err := MountsOf(number(t, disks[1])); err != nil || len(found) != 0 {
		t.Errorf("MountsOf(another's number) = %+v, %v", found, err)
	}
	if err := m.Bind(BindRequest{Source: disks[1], Device: true, Target: r.Target}); !errors.Is(err, ErrOtherMount) {
		t.Errorf("binding another device there: %v; want ErrOtherMount", err)
	}
	if err := m.Remove(r.Target); !errors.Is(err, ErrOtherMount) {
		t.Errorf("Remove while it is bound: %v; want ErrOtherMount", err)
	}
	if usage, err := UsageOf(r.Target); err != nil || !usage.Block || usage.Total == 0 {
		t.Errorf("UsageOf = %+v, %v", usage, err)
	}
	undo(t, m, r.Target)
}

func TestRealMountsOfFindsStagingAndTargets(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, XFS)
	target := filepath.Join(m.Root, "target")
	if err := m.Bind(BindRequest{Source: staging, Target: target}); err != nil {
		t.Fatal(err)
	}
	found, err := MountsOf(number(t, disk))
	if err != nil || len(found) != 2 || found[0].Target != staging || found[1].Target != target {
		t.Errorf("MountsOf = %+v, %v; want the staging and the target", found, err)
	}
	if usage, err := UsageOf(target); err != nil || usage.Block || usage.Total == 0 || usage.Available == 0 || usage.Inodes == 0 {
		t.Errorf("UsageOf = %+v, %v", usage, err)
	}
}

func TestRealUnmountTakesAllThatIsStackedAndNothingInUse(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	target := m.folder(t)
	for range 3 {
		if err := unix.Mount(staging, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(target, "open"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(target); !errors.Is(err, ErrBusy) {
		t.Errorf("Unmount of what is in use: %v; want ErrBusy", err)
	}
	if err := m.Remove(target); !errors.Is(err, ErrOtherMount) {
		t.Errorf("Remove of what is mounted: %v; want ErrOtherMount", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	undo(t, m, target)
	if _, err := os.Stat(filepath.Join(staging, "open")); err != nil {
		t.Errorf("the file went with the target: %v", err)
	}
}

func TestRealRemoveKeepsFilesBeneathAnUnmountedTarget(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	target := m.folder(t)
	write(t, filepath.Join(target, "of the node"), "x")
	if err := m.Bind(BindRequest{Source: staging, Target: target}); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(target); err != nil {
		t.Fatal(err)
	}
	if err := m.Remove(target); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("Remove = %v; want ErrNotEmpty", err)
	}
	if _, err := os.Stat(filepath.Join(target, "of the node")); err != nil {
		t.Error(err)
	}
}

func TestRealBindThroughALinkOrOutOfTheRootChangesNothing(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(m.Root, "link")); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]error{
		filepath.Join(m.Root, "link"):               ErrSymlink,
		filepath.Join(m.Root, "link", "x"):          ErrSymlink,
		filepath.Join(outside, "x"):                 ErrOutsideRoot,
		m.Root + "/../" + filepath.Base(outside):    ErrOutsideRoot,
		filepath.Join(m.Root, "no", "such", "pod"):  fs.ErrNotExist,
		filepath.Join(staging, "..", "..", "other"): ErrOutsideRoot,
	} {
		for _, r := range []BindRequest{{Source: staging, Target: target}, {Source: disk, Device: true, Target: target}} {
			if err := m.Bind(r); !errors.Is(err, want) {
				t.Errorf("Bind to %s = %v; want %v", target, err, want)
			}
		}
		if err := m.Stage(StageRequest{Device: disk, Type: Ext4, Target: target}); !errors.Is(err, want) {
			t.Errorf("Stage at %s = %v; want %v", target, err, want)
		}
	}
	if made, err := os.ReadDir(outside); err != nil || len(made) > 0 || mountsAt(t, outside) > 0 {
		t.Errorf("outside the root there are %v, %v", made, err)
	}
}

func TestRealSomethingElseAtTheTargetIsRefused(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	staging := m.staged(t, disk, Ext4)
	target := m.folder(t)
	if err := unix.Mount("", target, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if err := m.Bind(BindRequest{Source: staging, Target: target}); !errors.Is(err, ErrOtherMount) {
		t.Errorf("Bind over a tmpfs = %v; want ErrOtherMount", err)
	}
	if n := mountsAt(t, target); n != 1 {
		t.Errorf("%d mounts, want the tmpfs alone", n)
	}
}

func TestRealRootMayBeALink(t *testing.T) {
	disk := oneDisk(t)
	m := root(t)
	linked := Mounter{Root: filepath.Join(t.TempDir(), "kubelet")}
	if err := os.Symlink(m.Root, linked.Root); err != nil {
		t.Fatal(err)
	}
	staging := filepath.Join(linked.Root, filepath.Base(m.staged(t, disk, Ext4)))
	target := filepath.Join(linked.Root, "target")
	for range 2 {
		if err := linked.Bind(BindRequest{Source: staging, Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	if n := mountsAt(t, filepath.Join(m.Root, "target")); n != 1 {
		t.Errorf("%d mounts, want 1", n)
	}
	undo(t, linked, target)
}

func TestRealCloneOfXFSMountsBesideItsOrigin(t *testing.T) {
	lvmtest.Long(t)
	disks := lvmtest.RequireDisks(t, 2)
	m := root(t)
	staging := m.staged(t, disks[0], XFS)
	write(t, filepath.Join(staging, "file"), "x")
	if err := m.Unmount(staging); err != nil {
		t.Fatal(err)
	}
	run(t, "dd", "if="+disks[0], "of="+disks[1], "bs=4M", "conv=fsync")
	for _, disk := range disks {
		target := m.mounted(t, StageRequest{Device: disk, Type: XFS})
		if got, err := os.ReadFile(filepath.Join(target, "file")); err != nil || string(got) != "x" {
			t.Errorf("%s holds %q, %v", disk, got, err)
		}
	}
}
