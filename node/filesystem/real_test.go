package filesystem

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/tool"
)

// The tests named TestReal… mount file systems on real block devices; without such they are skipped.

// run runs a tool that a test cannot do without.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := tool.Run(context.Background(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// root is an empty folder as the kubelet's. What the test leaves mounted in it is unmounted after it.
func root(t testing.TB) Mounter {
	t.Helper()
	m := Mounter{Root: t.TempDir()}
	t.Cleanup(func() {
		all, err := mounts()
		if err != nil {
			t.Error(err)
		}
		for _, one := range slices.Backward(all) {
			if rel, err := filepath.Rel(m.Root, one.Target); err == nil && filepath.IsLocal(rel) {
				if err := unix.Unmount(one.Target, 0); err != nil {
					t.Errorf("left mounted at %s: %v", one.Target, err)
				}
			}
		}
	})
	return m
}

// staged formats a device and mounts it at a folder that it makes.
func (m Mounter) staged(t testing.TB, device string, kind Type) string {
	t.Helper()
	made(t, device, kind)
	return m.mounted(t, StageRequest{Device: device, Type: kind})
}

func (m Mounter) mounted(t testing.TB, r StageRequest) string {
	t.Helper()
	r.Target = m.folder(t)
	if err := m.Stage(r); err != nil {
		t.Fatal(err)
	}
	return r.Target
}

// folder makes a folder of a new name.
func (m Mounter) folder(t testing.TB) string {
	t.Helper()
	path, err := os.MkdirTemp(m.Root, "folder")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (m Mounter) lookup(t testing.TB, target string) (Mount, bool) {
	t.Helper()
	found, mounted, err := m.Lookup(target)
	if err != nil {
		t.Fatal(err)
	}
	return found, mounted
}

// mountsAt counts the mounts that are stacked at a target.
func mountsAt(t testing.TB, target string) int {
	t.Helper()
	all, err := mounts()
	if err != nil {
		t.Fatal(err)
	}
	return len(slices.DeleteFunc(all, func(m Mount) bool { return m.Target != target }))
}

// number is the device number of a device node.
func number(t testing.TB, device string) (major, minor uint32) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		t.Fatal(err)
	}
	return unix.Major(st.Rdev), unix.Minor(st.Rdev)
}

func write(t testing.TB, path, data string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// contents are the first bytes of a device, past the page cache.
func contents(t testing.TB, device string, size lvm.Bytes) []byte {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// oneDisk is a blank disk.
func oneDisk(t testing.TB) string {
	t.Helper()
	return lvmtest.RequireDisks(t, 1)[0]
}

// bothTypes runs a test for each type of file system.
func bothTypes(t *testing.T, test func(t *testing.T, kind Type)) {
	t.Helper()
	for _, kind := range []Type{Ext4, XFS} {
		t.Run(string(kind), func(t *testing.T) { test(t, kind) })
	}
}
