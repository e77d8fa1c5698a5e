package bench

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"golang.org/x/sys/unix"
)

func TestBlankDeviceIsWrittenOnlyWhenNamedTwice(t *testing.T) {
	path := lvmtest.RequireDisks(t, 1)[0]
	p, err := Open(t.Context(), Wanted{Path: path})
	if err != nil || !strings.Contains(p.ReadOnly, "it is blank; --write=") {
		t.Fatalf("%+v, %v; expected to be told what to type", p, err)
	}
	if p.Size < lvm.GiB || p.Major == 0 {
		t.Errorf("%+v: expected the device's size and number", p)
	}
	_, serial, _ := strings.Cut(p.ReadOnly, "--write=")
	serial, _, _ = strings.Cut(serial, " ")
	if p, err := Open(t.Context(), Wanted{Path: path, Serial: serial, Size: lvm.MiB}); err != nil || p.ReadOnly != "" || p.Size != lvm.MiB {
		t.Errorf("%+v, %v; expected to be allowed to write 1Mi", p, err)
	}
	if _, err := Open(t.Context(), Wanted{Path: path, Serial: "another"}); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), serial) {
		t.Errorf("%v; expected the serial to be refused, and the right one named", err)
	}
}

func TestDeviceThatHoldsDataIsOnlyRead(t *testing.T) {
	path := lvmtest.RequireDisks(t, 1)[0]
	if out, err := exec.Command("mke2fs", "-q", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("wipefs", "--all", path).Run() })
	p, err := Open(t.Context(), Wanted{Path: path})
	if err != nil || !strings.HasPrefix(p.ReadOnly, "holds an ext2") {
		t.Errorf("%+v, %v; expected to be told of ext2", p, err)
	}
	if _, err := Open(t.Context(), Wanted{Path: path, Serial: path}); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "ext2") {
		t.Errorf("%v; expected a refusal that names ext2", err)
	}
}

func TestFolderHasItsFileWrittenAndRemoved(t *testing.T) {
	folder := t.TempDir()
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		t.Fatal(err)
	}
	if suits(folder, s, 2*lvm.MiB) != nil {
		t.Skipf("%s is on no disk: %v", folder, suits(folder, s, 2*lvm.MiB))
	}
	p, err := Open(t.Context(), Wanted{Path: folder, Size: 2 * lvm.MiB})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(p.Path)
	if err != nil || len(content) != 2<<20 || !p.File || filepath.Dir(p.Path) != folder {
		t.Errorf("%+v holds %d bytes, %v; expected 2Mi in the folder", p, len(content), err)
	}
	if strings.Contains(string(content), strings.Repeat("\x00", 4096)) {
		t.Error("a part of the file was not written")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("%v stays behind", left)
	}
}

func TestFileSystemsThatAreNoDiskAreRefused(t *testing.T) {
	large := unix.Statfs_t{Type: unix.EXT4_SUPER_MAGIC, Bsize: 4096, Blocks: 1 << 20, Bavail: 1 << 19} // 2 of 4 GiB free
	for want, c := range map[string]struct {
		change func(*unix.Statfs_t)
		size   lvm.Bytes
	}{
		"NFS":                 {func(s *unix.Statfs_t) { s.Type = unix.NFS_SUPER_MAGIC }, lvm.MiB},
		"SMB":                 {func(s *unix.Statfs_t) { s.Type = unix.SMB2_SUPER_MAGIC }, lvm.MiB},
		"memory":              {func(s *unix.Statfs_t) { s.Type = unix.TMPFS_MAGIC }, lvm.MiB},
		"volume is mounted":   {func(s *unix.Statfs_t) { s.Type = unix.OVERLAYFS_SUPER_MAGIC }, lvm.MiB},
		"read-only":           {func(s *unix.Statfs_t) { s.Flags = unix.ST_RDONLY }, lvm.MiB},
		"2 GiB free of 4 GiB": {func(*unix.Statfs_t) {}, 2*lvm.GiB - lvm.MiB},
	} {
		s := large
		c.change(&s)
		if err := suits("/mnt", s, c.size); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; expected a refusal with %q", err, want)
		}
	}
	if err := suits("/mnt", large, lvm.GiB); err != nil {
		t.Errorf("1 GiB of 2 GiB free: %v", err)
	}
}

func TestPlaceIsAFolderOrADevice(t *testing.T) {
	file := written(t, lvm.MiB)
	for path, want := range map[string]string{file: "expected a folder or a block device", "/dev/null": "expected a folder or a block device", file + "x": "no such file"} {
		if _, err := Open(t.Context(), Wanted{Path: path, Size: lvm.MiB}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; expected %q", path, err, want)
		}
	}
	if _, err := Open(t.Context(), Wanted{Path: filepath.Dir(file), Size: 512}); !errors.Is(err, ErrUnfit) {
		t.Errorf("a file of 512 bytes: %v", err)
	}
}
