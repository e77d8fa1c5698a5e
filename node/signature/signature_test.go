package signature

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	if err := f.Truncate(imageSize); err != nil {
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
		t.Skipf("needs %s, which is not installed", name)
	}
	cmd := exec.Command(name, args...)
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

const imageSize = 64 << 20

func TestBlankIsOnlyWhatHoldsNothing(t *testing.T) {
	s, err := Read(context.Background(), image(t))
	if err != nil || !s.Blank || s.String() != "nothing" {
		t.Errorf("a blank image was read as %+v, %v", s, err)
	}
	for _, size := range []int64{0, 1, 512, 4096, 1<<20 + 512, 3<<20 + 512} {
		path := image(t)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if s, err := Read(context.Background(), path); err != nil || !s.Blank {
			t.Errorf("a blank image of %d bytes was read as %+v, %v", size, s, err)
		}
	}
}

func TestAByteAtEitherEndIsNotBlank(t *testing.T) {
	for _, c := range []struct{ size, offset int64 }{
		{imageSize, 0}, {imageSize, 511}, {imageSize, 4096}, {imageSize, 1<<20 - 1}, {imageSize, 63 << 20}, {imageSize, imageSize - 1},
		{3<<20 + 512, 3<<20 + 511}, {1<<20 + 512, 1<<20 + 511}, {2<<20 + 4095, 2<<20 + 4094}, {1, 0},
	} {
		path := image(t)
		if err := os.Truncate(path, c.size); err != nil {
			t.Fatal(err)
		}
		writeAt(t, path, "x", c.offset)
		s, err := Read(context.Background(), path)
		if err != nil || s.Blank || s.DataAt != c.offset {
			t.Errorf("byte %d of %d was read as %+v, %v", c.offset, c.size, s, err)
		}
		if want := fmt.Sprintf("data at byte %d that no known format explains", c.offset); s.String() != want {
			t.Errorf("byte %d of %d is described as %q, want %q", c.offset, c.size, s, want)
		}
	}
}

func TestUnreadableIsNeverBlank(t *testing.T) {
	for _, path := range []string{"/nonexistent", t.TempDir(), "/dev/null"} {
		if s, err := Read(context.Background(), path); !errors.Is(err, ErrUnreadable) || s.Blank {
			t.Errorf("Read(%s) = %+v, %v; want ErrUnreadable", path, s, err)
		}
	}
}

func TestFormatsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		make func(t *testing.T, path string)
	}{
		"ext4":  {`ext4 file system labelled "pg data"`, func(t *testing.T, p string) { run(t, "mkfs.ext4", "-q", "-F", "-L", "pg data", p) }},
		"xfs":   {"xfs file system", func(t *testing.T, p string) { enlarge(t, p); run(t, "mkfs.xfs", "-q", p) }},
		"btrfs": {"btrfs file system", func(t *testing.T, p string) { enlarge(t, p); run(t, "mkfs.btrfs", "-q", p) }},
		"swap":  {"swap", func(t *testing.T, p string) { run(t, "mkswap", p) }},
		"LUKS":  {"crypto_LUKS", encrypt},
		"GPT":   {"a partition table (gpt)", func(t *testing.T, p string) { run(t, "sgdisk", "-n", "1:0:+16M", p) }},
		"GPT of which the first copy is gone": {"a partition table (gpt)", func(t *testing.T, p string) {
			run(t, "sgdisk", "-n", "1:0:+16M", p)
			writeAt(t, p, strings.Repeat("\x00", 1<<20), 0)
		}},
		"MBR":             {"a partition table (dos)", func(t *testing.T, p string) { writeAt(t, p, mbr(), 0) }},
		"physical volume": {"LVM2_member", func(t *testing.T, p string) { writeAt(t, p, lvmLabel(), 512) }},
		"md 1.2":          {`linux_raid_member labelled "host:0"`, func(t *testing.T, p string) { writeAt(t, p, mdSuperblock(4096), 4096) }},
		"md 1.1":          {`linux_raid_member labelled "host:0"`, func(t *testing.T, p string) { writeAt(t, p, mdSuperblock(0), 0) }},
		"md 1.0, at the end": {`linux_raid_member labelled "host:0"`, func(t *testing.T, p string) {
			writeAt(t, p, mdSuperblock(imageSize-8192), imageSize-8192)
		}},
		"md 0.90, at the end": {"linux_raid_member", func(t *testing.T, p string) { writeAt(t, p, mdOldSuperblock(), imageSize-64<<10) }},
		"ZFS":                 {"zfs_member file system", func(t *testing.T, p string) { writeAt(t, p, zfsUberblocks(), 128<<10) }},
		"ZFS, the last label alone": {"zfs_member file system", func(t *testing.T, p string) {
			writeAt(t, p, zfsUberblocks(), imageSize-128<<10)
		}},
		"DRBD, at the end": {"drbd", func(t *testing.T, p string) { writeAt(t, p, drbdMetadata(), imageSize-4096) }},
		"two at once":      {"signatures of several formats (swap, xfs)", swapAndXFS},
	} {
		t.Run(name, func(t *testing.T) {
			path := image(t)
			c.make(t, path)
			s, err := Read(context.Background(), path)
			if err != nil || s.Blank || s.String() != c.want {
				t.Errorf("read as %+v (%v), %v; want %s", s, s, err, c.want)
			}
		})
	}
}

func TestReadingChangesNothing(t *testing.T) {
	path := image(t)
	run(t, "mkfs.ext4", "-q", "-F", path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the image is another after it was read (%v)", err)
	}
}

func TestIdentityIsRead(t *testing.T) {
	const uuid = "0c4ed4b5-2f5c-4d9e-9c4f-5a2c1f0e7b11"
	path := image(t)
	run(t, "mkfs.ext4", "-q", "-F", "-U", uuid, "-L", `a=b "c" \`, path)
	s, err := Read(context.Background(), path)
	if err != nil || s.Type != "ext4" || s.Usage != "filesystem" || s.UUID != uuid || s.Label != `a=b "c" \` {
		t.Errorf("read as %+v, %v", s, err)
	}
}

func encrypt(t *testing.T, path string) {
	t.Helper()
	key := filepath.Join(filepath.Dir(path), "key")
	if err := os.WriteFile(key, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key, path)
}

// enlarge makes an image large enough for xfs and btrfs.
func enlarge(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 400<<20); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("DEVNAME=/dev/x\nLABEL=a\\ b\nTYPE=ext4\n")
	f.Add("\\\n=\n")
	f.Fuzz(func(_ *testing.T, s string) { parse(s) })
}

func FuzzParseCandidates(f *testing.F) {
	f.Add(`{"signatures":[{"device":"b","offset":"0xff6","type":"swap","uuid":null,"label":null}]}`)
	f.Fuzz(func(_ *testing.T, s string) { parseCandidates(s) })
}
