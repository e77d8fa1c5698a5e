package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// wipeStep is what is wiped between two looks at the context, on a slow disk about half a second.
const wipeStep = 64 * lvm.MiB

// ioctls of the block layer that x/sys lacks (linux/fs.h).
const (
	blkDiscard = 0x1277
	blkZeroOut = 0x127f
)

// Zero writes zeroes over all of a device and flushes it. A context that ends stops it between two steps.
func Zero(ctx context.Context, path string) error {
	return wipe(ctx, path, func(f *os.File, from, length lvm.Bytes) error {
		err := blockRange(f, blkZeroOut, from, length)
		if errors.Is(err, unix.ENOTTY) { // a file
			_, err = f.WriteAt(make([]byte, length), int64(from))
		}
		return err
	})
}

// Discard discards all of a device.
func Discard(ctx context.Context, path string) error {
	return wipe(ctx, path, func(f *os.File, from, length lvm.Bytes) error { return blockRange(f, blkDiscard, from, length) })
}

func wipe(ctx context.Context, path string, step func(f *os.File, from, length lvm.Bytes) error) error {
	size, err := device.Size(path)
	if err != nil {
		return err
	}
	f, err := OpenAlone(path, os.O_RDWR)
	if err != nil {
		return err
	}
	for from := lvm.Bytes(0); from < size && err == nil; from += wipeStep {
		if err = ctx.Err(); err == nil {
			err = step(f, from, min(wipeStep, size-from))
		}
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("wiping %s: %w", path, err)
	}
	return nil
}

// OpenAlone opens a block device that nobody else has mounted, or open in this way (open(2), O_EXCL). A process that is being started
// holds all that its parent has open until its own program begins, so that a device which was closed just now may be in use for
// some milliseconds more: that is waited for. Errors: unix.EBUSY, after a second, or the kernel's.
func OpenAlone(path string, flags int) (f *os.File, err error) {
	err = patiently(time.Second, func() (err error) {
		f, err = os.OpenFile(path, flags|unix.O_EXCL, 0)
		return err
	})
	return f, err
}

func blockRange(f *os.File, request uintptr, from, length lvm.Bytes) error {
	argument := [2]uint64{uint64(from), uint64(length)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&argument))); e != 0 {
		return e
	}
	return nil
}
