package filesystem

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var (
	// ErrOutsideRoot says that a path is not beneath the root, or not absolute and clean.
	ErrOutsideRoot = errors.New("not an absolute path beneath the root")
	// ErrSymlink says that a path leads through a symbolic link.
	ErrSymlink = errors.New("leads through a symbolic link")
	// ErrOtherMount says that something else is mounted at a path.
	ErrOtherMount = errors.New("something else is mounted there")
	// ErrNotMounted says that nothing is mounted at a path from which something is to be bound.
	ErrNotMounted = errors.New("nothing is mounted there")
	// ErrReadOnly says that what is mounted at a path can only be read, and was asked for to be written.
	ErrReadOnly = errors.New("read-only")
	// ErrBusy says that a mount or a device is in use.
	ErrBusy = errors.New("in use")
	// ErrNotEmpty says that a mount point holds files that are not of a mount, which are never removed.
	ErrNotEmpty = errors.New("holds files that no volume put there; they are not removed")
)

// known adds to an error of the kernel what it means here.
func known(err error) error {
	for meaning, errnos := range map[error][]unix.Errno{
		ErrBusy:     {unix.EBUSY, unix.EWOULDBLOCK},
		ErrReadOnly: {unix.EROFS},
		ErrCorrupt:  {unix.EUCLEAN, unix.EBADMSG}, // EFSCORRUPTED and EFSBADCRC in the file systems' sources
	} {
		for _, e := range errnos {
			if errors.Is(err, e) {
				return fmt.Errorf("%w: %w", meaning, err)
			}
		}
	}
	return err
}
