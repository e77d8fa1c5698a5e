package signature

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// image is a sparse file of 64 MiB, changed by commands and by bytes.
func image(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(64 << 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s", name)
	}
	cmd := exec.Command(name, args...)
	if name == "sfdisk" {
		cmd.Stdin = strings.NewReader(",32M\n,\n")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func writeAt(t *testing.T, path string, data string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(data), offset); err != nil {
		t.Fatal(err)
	}
}

func TestBlankIsOnlyWhatHoldsNothing(t *testing.T) {
	s, err := Read(context.Background(), image(t))
	if err != nil || !s.Blank || s.String() != "nothing" {
		t.Errorf("a blank image was read as %+v, %v", s, err)
	}
	for _, offset := range []int64{0, 511, 4096, 1<<20 - 1, 63 << 20, 64<<20 - 1} {
		path := image(t)
		writeAt(t, path, "x", offset)
		s, err := Read(context.Background(), path)
		if err != nil || s.Blank || s.DataAt != offset {
			t.Errorf("a byte at %d was read as %+v, %v", offset, s, err)
		}
	}
	for _, size := range []int64{0, 1, 512, 4096, 1<<20 + 512} {
		path := image(t)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if s, err := Read(context.Background(), path); err != nil || !s.Blank {
			t.Errorf("a blank image of %d bytes was read as %+v, %v", size, s, err)
		}
	}
}

func TestUnreadableIsNeverBlank(t *testing.T) {
	for _, path := range []string{"/nonexistent", t.TempDir()} {
		if s, err := Read(context.Background(), path); !errors.Is(err, ErrUnreadable) {
			t.Errorf("Read(%s) = %+v, %v; want ErrUnreadable", path, s, err)
		}
	}
}

func TestFormatsAreNamed(t *testing.T) {
	for _, c := range []struct {
		want string
		make func(t *testing.T, path string)
	}{
		{`ext4 file system labelled "pg data"`, func(t *testing.T, p string) { run(t, "mkfs.ext4", "-q", "-F", "-L", "pg data", p) }},
		{"xfs file system", func(t *testing.T, p string) { grow(t, p); run(t, "mkfs.xfs", "-q", p) }},
		{"btrfs file system", func(t *testing.T, p string) { grow(t, p); run(t, "mkfs.btrfs", "-q", p) }},
		{"swap", func(t *testing.T, p string) { run(t, "mkswap", p) }},
		{"crypto_LUKS", func(t *testing.T, p string) {
			key := filepath.Join(filepath.Dir(p), "key")
			writeKey(t, key)
			run(t, "cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key, p)
		}},
		{"a partition table (gpt)", func(t *testing.T, p string) { run(t, "sgdisk", "-n", "1:0:+16M", p) }},
		{"a partition table (dos)", func(t *testing.T, p string) { run(t, "sfdisk", "-q", "--label", "dos", p) }},
		{"LVM2_member", func(t *testing.T, p string) { writeAt(t, p, lvmLabel(), 512) }},
		{`linux_raid_member labelled "host:0"`, func(t *testing.T, p string) { writeAt(t, p, mdSuperblock(), 4096) }},
	} {
		t.Run(c.want, func(t *testing.T) {
			path := image(t)
			c.make(t, path)
			s, err := Read(context.Background(), path)
			if err != nil || s.Blank || s.String() != c.want {
				t.Errorf("read as %+v (%v), %v; want %s", s, s, err, c.want)
			}
		})
	}
}

func TestBackupAloneIsNotBlank(t *testing.T) {
	path := image(t)
	run(t, "sgdisk", "-n", "1:0:+16M", path)
	writeAt(t, path, strings.Repeat("\x00", 1<<20), 0) // only the copy at the end is left
	if s, err := Read(context.Background(), path); err != nil || s.Blank {
		t.Errorf("a disk with the backup of a GPT was read as %+v, %v", s, err)
	}
}

func grow(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 400<<20); err != nil {
		t.Fatal(err)
	}
}

func writeKey(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("DEVNAME=/dev/x\nLABEL=a\\ b\nTYPE=ext4\n")
	f.Add("\\\n=\n")
	f.Fuzz(func(_ *testing.T, s string) { parse(s) })
}
