package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// image is a sparse file of that size.
func image(t testing.TB, size lvm.Bytes) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(int64(size)), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// requireMkfs skips a test where the tools of a file system are not installed.
func requireMkfs(t testing.TB, kinds ...Type) {
	t.Helper()
	for _, kind := range kinds {
		if _, err := exec.LookPath("/usr/sbin/mkfs." + string(kind)); err != nil {
			t.Skipf("needs mkfs.%s (e2fsprogs, xfsprogs)", kind)
		}
	}
}

func made(t testing.TB, device string, kind Type) string {
	t.Helper()
	requireMkfs(t, kind)
	uuid := UUID(t.Name() + device)
	if err := Make(context.Background(), MakeRequest{Device: device, Type: kind, UUID: uuid}); err != nil {
		t.Fatal(err)
	}
	return uuid
}

func TestFinishedFileSystemIsRecognisedByTypeAndUUID(t *testing.T) {
	lvmtest.Anywhere(t)
	for _, kind := range []Type{Ext4, XFS} {
		for _, size := range []lvm.Bytes{MinimumSize(kind), lvm.GiB, 100 * lvm.GiB} {
			path := image(t, size)
			if is, err := Made(path, kind, UUID("x")); err != nil || is {
				t.Errorf("Made of a blank image = %t, %v", is, err)
			}
			uuid := made(t, path, kind)
			if is, err := Made(path, kind, uuid); err != nil || !is {
				t.Errorf("Made(%s of %v) = %t, %v", kind, size, is, err)
			}
			if is, err := Made(path, kind, UUID("another")); err != nil || is {
				t.Errorf("Made(%s of %v) with another UUID = %t, %v", kind, size, is, err)
			}
			if is, err := Made(path, map[Type]Type{Ext4: XFS, XFS: Ext4}[kind], uuid); err != nil || is {
				t.Errorf("Made(%s of %v) as the other type = %t, %v", kind, size, is, err)
			}
			if s, err := readSuperblock(path); err != nil || s.size != size {
				t.Errorf("%s on %v: the superblock says %v, %v", kind, size, s.size, err)
			}
			if err := Check(context.Background(), path, kind); err != nil {
				t.Errorf("a new %s of %v: %v", kind, size, err)
			}
		}
	}
}

func TestMakeReplacesTheOtherFileSystem(t *testing.T) {
	lvmtest.Anywhere(t)
	path := image(t, lvm.GiB)
	for _, kind := range []Type{XFS, Ext4, XFS, Ext4} {
		uuid := made(t, path, kind)
		if is, err := Made(path, kind, uuid); err != nil || !is {
			t.Errorf("Made(%s) = %t, %v", kind, is, err)
		}
	}
}

func TestUnreadableSuperblockIsAnErrorAndNotAbsence(t *testing.T) {
	if _, err := Made("/nonexistent", Ext4, UUID("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Made = %v; want not to exist", err)
	}
	if is, err := Made(image(t, 4095), Ext4, UUID("x")); err == nil {
		t.Errorf("Made on 4095 bytes = %t; want an error", is)
	}
}

// TestTornSuperblockIsNotMade: a power cut may leave one sector of the last write and not the other.
func TestTornSuperblockIsNotMade(t *testing.T) {
	for kind, offsets := range map[Type][]int64{Ext4: {1024 + 0x10, 1536, 2047}, XFS: {8, 250, 400}} {
		path := image(t, 400*lvm.MiB)
		uuid := made(t, path, kind)
		for _, offset := range offsets {
			flip(t, path, offset)
			if is, err := Made(path, kind, uuid); err != nil || is {
				t.Errorf("Made(%s) with byte %d changed = %t, %v", kind, offset, is, err)
			}
			flip(t, path, offset)
		}
		if is, err := Made(path, kind, uuid); err != nil || !is {
			t.Errorf("Made(%s) with all changes undone = %t, %v", kind, is, err)
		}
	}
}

func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	b[0] ^= 0xff
	_, err2 := f.WriteAt(b, offset)
	if err := errors.Join(err, err2, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// stableUUID is what names volumes since the first release: a change would make every retry of mkfs refuse its own work.
const stableUUID = "4d46a924-e512-8e1c-bcf2-31bd21da1a84"

func TestUUIDIsStableAndValid(t *testing.T) {
	valid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]string{}
	for _, name := range []string{"", "a", "b", "node/a", "node/b", "node\x00a", "pvc-8f0a", "ä"} {
		u := UUID(name)
		if !valid.MatchString(u) || u != UUID(name) {
			t.Errorf("UUID(%q) = %s, then %s", name, u, UUID(name))
		}
		if other, taken := seen[u]; taken {
			t.Errorf("%q and %q have the same UUID", name, other)
		}
		seen[u] = name
	}
	if u := UUID("node/pvc-8f0a"); u != stableUUID {
		t.Errorf("UUID = %s; volumes made before have %s", u, stableUUID)
	}
}

func FuzzParseSuperblock(f *testing.F) {
	ext4, xfs := make([]byte, 4096), make([]byte, 4096)
	copy(ext4[1024+0x38:], "\x53\xef\x01\x00")
	copy(xfs, "XFSB\x00\x00\x10\x00")
	for _, b := range [][]byte{nil, ext4, xfs, append(xfs[:1024:1024], ext4[1024:]...), make([]byte, 8192)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := parseSuperblock(b)
		if s.size < 0 || s.size > 1<<62 {
			t.Errorf("size %d", s.size)
		}
		if s.kind == "" && s != (superblock{}) {
			t.Errorf("no kind and yet %+v", s)
		}
	})
}
