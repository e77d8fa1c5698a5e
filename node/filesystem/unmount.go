package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// Unmount removes every mount at a target; none is fine, and so is a target that does not exist. Whole ext4 and xfs file
// systems are unmounted, and bound device nodes, and nothing else, whatever path is given. Errors: ErrOutsideRoot,
// ErrSymlink, ErrOtherMount, ErrBusy.
func (m Mounter) Unmount(target string) error {
	parent, name, err := m.openParent(target) // of the folder it is in: a handle of the mount itself would keep it busy
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.close()
	if parent.isLink(name) {
		return fmt.Errorf("%s: %w", target, ErrSymlink)
	}
	for {
		at, mounted, err := m.Lookup(target)
		if err != nil || !mounted {
			return err
		}
		if !at.isVolume() {
			return otherMount(target, at)
		}
		if err := patiently(busyPatience, func() error { return unix.Unmount(parent.child(name), unix.UMOUNT_NOFOLLOW) }); err != nil {
			return fmt.Errorf("unmounting %s: %w", target, known(err))
		}
	}
}

// Somebody may have a mount open for a moment: Trim does, and what collects figures of file systems.
const (
	busyPatience = 2 * time.Second
	busyPause    = 10 * time.Millisecond
)

// patiently tries again, for so long, what fails as something is in use (unix.EBUSY).
func patiently(patience time.Duration, try func() error) error {
	for until := time.Now().Add(patience); ; {
		if err := try(); !errors.Is(err, unix.EBUSY) || time.Now().After(until) {
			return err
		}
		time.Sleep(busyPause) //nolint:forbidigo // nobody tells when something is no longer in use
	}
}

// isLink says whether a name in an open folder is a symbolic link's. What cannot be looked at is none: it is a mount whose
// device fails, and is to be unmounted all the more.
func (h handle) isLink(name string) bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(h), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// Remove removes a target that Bind made and at which nothing is mounted any more: an empty folder, or the file that a
// device node was bound to. None is fine. Errors: ErrNotEmpty, ErrOtherMount, ErrOutsideRoot, ErrSymlink.
func (m Mounter) Remove(target string) error {
	parent, name, err := m.openParent(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.close()
	var st unix.Stat_t
	err = unix.Fstatat(int(parent), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		err = removable(st)
	}
	if err == nil {
		err = unix.Unlinkat(int(parent), name, removeFlag(st))
	}
	return removed(target, err)
}

// removable refuses what Bind does not make: a link, a file with something in it, a device.
func removable(st unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return nil
	case unix.S_IFLNK:
		return ErrSymlink
	case unix.S_IFBLK: // seen through the bind mount
		return ErrOtherMount
	case unix.S_IFREG:
		if st.Size == 0 {
			return nil
		}
	}
	return ErrNotEmpty
}

func removeFlag(st unix.Stat_t) int {
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.AT_REMOVEDIR
	}
	return 0
}

func removed(target string, err error) error {
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ENOTEMPTY):
		err = ErrNotEmpty
	case errors.Is(err, unix.EBUSY):
		err = ErrOtherMount
	}
	return fmt.Errorf("removing %s: %w", target, err)
}
