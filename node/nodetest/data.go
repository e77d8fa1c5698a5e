package nodetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// OnePool is the configuration of one pool, thin or thick, whose name is its type, on those disks; what is added to it belongs
// to the pool.
func OnePool(kind string, disks ...string) string {
	s := "pools:\n- name: " + kind + "\n  type: " + kind + "\n  devices:\n    paths:\n"
	for _, d := range disks {
		s += "    - " + d + "\n"
	}
	return s
}

// Write fills a file, or the beginning of a block device, with size bytes of noise and returns their checksum.
func Write(t testing.TB, path string, size lvm.Bytes) string {
	t.Helper()
	data := make([]byte, size)
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", filepath.Base(path))))), data)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// Checksum reads size bytes of a file or device.
func Checksum(t testing.TB, path string, size lvm.Bytes) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, int64(size)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// File is the file of a mounted volume that a test writes: the target itself for a raw block volume.
func File(target, fs string) string {
	if fs == "" {
		return target
	}
	return filepath.Join(target, "data")
}

// MountedSize is what a mounted file system or a device shows as its size.
func MountedSize(t testing.TB, target, fs string) lvm.Bytes {
	t.Helper()
	if fs == "" {
		f, err := os.Open(target)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
		return lvm.Bytes(n)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(target, &s); err != nil {
		t.Fatal(err)
	}
	return lvm.Bytes(int64(s.Blocks) * s.Bsize)
}

// Deactivate deactivates all that can be of a volume group, as a reboot leaves it.
func Deactivate(t testing.TB, disk, group string) {
	t.Helper()
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{disk})
	report, err := l.Report(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	vg, _ := report.VolumeGroup(group)
	var active []string
	for _, lv := range vg.LVs {
		if lv.Active && !lv.Hidden {
			active = append(active, lv.Name)
		}
	}
	if err := l.Deactivate(group, active...); err != nil {
		t.Fatal(err)
	}
}
