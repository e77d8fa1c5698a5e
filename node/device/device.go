// Package device reads a block device as it is: past the page cache, to its last byte, and in full or not at all. What the
// cache holds may be older than the device, and hides that a device cannot be read any more. It writes nothing.
package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// block is what places and lengths of direct reads are multiples of: the largest logical block of a disk (open(2), O_DIRECT).
const block = 4096

// ErrKind says that a path is neither a block device nor a file that holds the image of one.
var ErrKind = errors.New("neither a block device nor a file")

// Device is a block device, or a file that holds the image of one, open for reading.
type Device struct {
	file *os.File
	Size lvm.Bytes
}

// Open opens a device. Errors: ErrKind, fs.ErrNotExist, or the kernel's.
func Open(path string) (*Device, error) {
	const flags = os.O_RDONLY | unix.O_NONBLOCK // never wait for a FIFO's writer
	f, err := os.OpenFile(path, flags|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) { // a file on a file system that always caches, or a folder
		f, err = os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	d := &Device{file: f}
	if d.Size, err = size(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return d, nil
}

func size(f *os.File) (lvm.Bytes, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Mode().Type()&^os.ModeDevice != 0 {
		return 0, fmt.Errorf("%s: %w", f.Name(), ErrKind)
	}
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", f.Name(), err)
	}
	return lvm.Bytes(n), nil
}

// Close closes the device.
func (d *Device) Close() error { return d.file.Close() }

// Read returns what the device holds from one place to another, or to its end if that comes first. Errors: the kernel's,
// and io.ErrUnexpectedEOF when it gave less than the device's size promises.
func (d *Device) Read(from, to lvm.Bytes) ([]byte, error) {
	from, to = max(0, from), min(to, d.Size)
	if from >= to {
		return nil, nil
	}
	start := from.RoundDown(block)
	buffer := aligned(int((to - start).RoundUp(block)))
	if err := d.fill(buffer, start, to); err != nil {
		return nil, err
	}
	return buffer[from-start : to-start : to-start], nil
}

// fill reads at least from start to a place, into a buffer that ends at or behind it.
func (d *Device) fill(buffer []byte, start, to lvm.Bytes) error {
	n, err := d.file.ReadAt(buffer, int64(start))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if lvm.Bytes(n) < to-start {
		return fmt.Errorf("reading %s from byte %d: %w", d.file.Name(), start, io.ErrUnexpectedEOF)
	}
	return nil
}

// piece is how much Zero reads at once.
const piece = 256 * lvm.KiB

var zeroes [piece]byte

// Zero says whether a device holds nothing but zeroes from one place to another, or to its end if that comes first; all of it is read,
// whatever is found. Errors: as of Read.
func (d *Device) Zero(from, to lvm.Bytes) (bool, error) {
	from, to = max(0, from), min(to, d.Size)
	buffer, all := aligned(int(piece)), true
	for start := from.RoundDown(block); start < to; start += piece {
		part := buffer[:min(piece, (to-start).RoundUp(block))]
		if err := d.fill(part, start, min(to, start+piece)); err != nil {
			return false, err
		}
		of := part[max(from-start, 0):min(piece, to-start)]
		all = all && bytes.Equal(of, zeroes[:len(of)])
	}
	return all, nil
}

// Flush makes what was written to the device survive a power cut.
func (d *Device) Flush() error { return d.file.Sync() }

// Size is the size of a device.
func Size(path string) (lvm.Bytes, error) {
	d, err := Open(path)
	if err != nil {
		return 0, err
	}
	return d.Size, d.Close()
}

// aligned returns n bytes that begin where direct reads want them to in memory.
func aligned(n int) []byte {
	b := make([]byte, n+block)
	skip := block - int(uintptr(unsafe.Pointer(&b[0]))%block)
	return b[skip : skip+n : skip+n]
}
