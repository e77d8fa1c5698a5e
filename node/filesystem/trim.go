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
)

// fiTrim is FITRIM (linux/fs.h) on a 64-bit machine; x/sys has it under no name.
const fiTrim = 0xc0185879

// trimStep is what is trimmed while the file system is held open: it cannot be unmounted meanwhile. Between two steps there is
// a pause at least as long as a step took, for unmounting and for the disk's other work.
const (
	trimStep  = lvm.GiB
	trimPause = 50 * time.Millisecond
)

// Trim has a mounted file system discard what it does not use (fstrim(8)), so that a thin pool gets it back. It returns how
// much the file system, of a device of that size, said to have discarded, which may have been discarded before. Errors:
// errors.ErrUnsupported when the file system or its device cannot; the context's.
func Trim(ctx context.Context, m Mount, size lvm.Bytes) (lvm.Bytes, error) {
	var trimmed lvm.Bytes
	for from := lvm.Bytes(0); from < size; from += trimStep {
		began := time.Now()
		n, err := trimPart(m, from, min(trimStep, size-from))
		if err != nil {
			return trimmed, fmt.Errorf("trimming %s: %w", m.Target, err)
		}
		trimmed += n
		select {
		case <-ctx.Done():
			return trimmed, ctx.Err()
		case <-time.After(max(trimPause, time.Since(began))):
		}
	}
	return trimmed, nil
}

// trimPart opens the mount point anew, and sees to it that it is still the same file system.
func trimPart(m Mount, from, length lvm.Bytes) (lvm.Bytes, error) {
	f, err := os.OpenFile(m.Target, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	if st.Dev != unix.Mkdev(m.Major, m.Minor) {
		return 0, errors.New("another file system is mounted there now")
	}
	part := struct{ start, length, least uint64 }{uint64(from), uint64(length), 0} // struct fstrim_range
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fiTrim, uintptr(unsafe.Pointer(&part)))
	switch errno {
	case 0:
		return lvm.Bytes(part.length), nil
	case unix.EOPNOTSUPP, unix.ENOTTY:
		return 0, errors.ErrUnsupported
	case unix.EINVAL: // ext4 of a part beyond its end
		return 0, nil
	}
	return 0, errno
}
