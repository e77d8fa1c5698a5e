package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Unmount removes every mount at a target; none is fine, and so is a target that does not exist. Errors: ErrOutsideRoot,
// ErrSymlink, ErrBusy.
func (m Mounter) Unmount(target string) error {
	for {
		_, mounted, err := m.Lookup(target)
		if err != nil {
			return err
		}
		h, err := m.open(target) // for the links on the way; an open handle would keep the mount busy
		if err == nil {
			h.close()
		} else if errors.Is(err, ErrSymlink) {
			return err
		}
		if !mounted {
			return nil
		}
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("unmounting %s: %w", target, ErrBusy)
		}
		if err != nil {
			return fmt.Errorf("unmounting %s: %w", target, err)
		}
	}
}

// Remove removes a target that Bind made and at which nothing is mounted any more: an empty folder, or the file that a
// device node was bound to. None is fine. Errors: ErrNotEmpty, ErrOtherMount, ErrOutsideRoot, ErrSymlink.
func (m Mounter) Remove(target string) error {
	h, err := m.open(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(h), &st)
	h.close()
	if err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > 0 {
		return fmt.Errorf("%s: %w", target, ErrNotEmpty)
	}
	err = os.Remove(target)
	switch {
	case errors.Is(err, unix.ENOTEMPTY):
		return fmt.Errorf("%s: %w", target, ErrNotEmpty)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s: %w", target, ErrOtherMount)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}
