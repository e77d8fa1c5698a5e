package device

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// counting is a file of that many bytes, each with another value than its neighbours.
func counting(t *testing.T, size int) (string, []byte) {
	t.Helper()
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i % 251)
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func TestReadGivesExactlyWhatIsThere(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 4095, 4096, 4097, 3*4096 + 512} {
		path, content := counting(t, size)
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if d.Size != lvm.Bytes(size) {
			t.Errorf("size of a file of %d bytes is %d", size, d.Size)
		}
		for _, from := range []int{-1, 0, 1, 511, 4095, 4096, 8191, 20000} {
			for _, to := range []int{0, 1, 512, 4096, 4097, 12800, 1 << 20} {
				got, err := d.Read(lvm.Bytes(from), lvm.Bytes(to))
				var want []byte
				if first, last := max(from, 0), min(to, size); first < last {
					want = content[first:last]
				}
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("reading %d to %d of %d gave %d bytes, %v; want %d", from, to, size, len(got), err, len(want))
				}
			}
		}
	}
}

func TestAFileThatShrankIsAnError(t *testing.T) {
	path, _ := counting(t, 8192)
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if b, err := d.Read(0, 8192); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read = %d bytes, %v; want ErrUnexpectedEOF", len(b), err)
	}
	if zero, err := d.Zero(0, 8192); zero || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Zero = %v, %v; want ErrUnexpectedEOF", zero, err)
	}
}

func TestZeroSeesEachByteOfItsRangeAndNoOther(t *testing.T) {
	const size = 2*piece + 5000
	path := filepath.Join(t.TempDir(), "image")
	for _, at := range []lvm.Bytes{0, 1, 4095, 4096, piece - 1, piece, 2*piece + 4999} {
		content := make([]byte, size)
		content[at] = 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, r := range [][2]lvm.Bytes{{0, size}, {-9, 2 * size}, {at, at + 1}, {0, at}, {at + 1, size}, {at, at}, {1, piece + 1}} {
			want := at < r[0] || at >= r[1]
			if zero, err := d.Zero(r[0], r[1]); err != nil || zero != want {
				t.Errorf("a byte at %d: Zero(%d, %d) = %v, %v; want %v", at, r[0], r[1], zero, err, want)
			}
		}
	}
}

func TestOnlyDevicesAndFilesAreOpened(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		fifo: ErrKind, "/dev/null": ErrKind, t.TempDir(): ErrKind, "/nonexistent": fs.ErrNotExist,
	} {
		if _, err := Size(path); !errors.Is(err, want) {
			t.Errorf("Size(%s) = %v; want %v", path, err, want)
		}
	}
}
