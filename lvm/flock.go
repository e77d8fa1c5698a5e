package lvm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// LVM's own locks (lvm2: lib/locking/file_locking.c): a file for each volume group, on which a command that changes it has
// an exclusive flock(2), and one that reads it a shared one. A report takes the shared ones, so that it does not show
// the middle of a change.
const lockFolder = "/run/lock/lvm"

// lockPatience is how long it is waited for somebody else's change to end. After that a report is made all the same: what a command
// that hangs has left is what there is to report. A change is not made.
const lockPatience = 10 * time.Second

// lockGroup keeps others from changing a group until it is unlocked. Errors: ErrLocked.
func lockGroup(vg string) (unlock func(), err error) {
	unlock, err = lockGroups(lockFolder, []string{vg}, lockPatience)
	if err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// lockGroups takes the locks of those groups, and of devices that join or leave one; with ErrLocked, all but those that somebody
// keeps for longer than patience.
func lockGroups(folder string, groups []string, patience time.Duration) (unlock func(), err error) {
	var files []int
	unlock = func() {
		for _, fd := range files {
			unix.Close(fd)
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return unlock, err
	}
	until := time.Now().Add(patience)
	names := []string{"P_global"}
	for _, g := range groups {
		names = append(names, "V_"+g)
	}
	for _, name := range names {
		fd, failed := lockShared(filepath.Join(folder, name), until)
		switch {
		case failed == nil:
			files = append(files, fd)
		case !errors.Is(failed, ErrLocked):
			return unlock, failed
		}
		err = errors.Join(err, failed)
	}
	return unlock, err
}

// lockShared returns the descriptor of the file that is locked until it is closed. Errors: ErrLocked.
func lockShared(path string, until time.Time) (fd int, err error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		fd, err := tryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return fd, err
		}
		if time.Now().After(until) {
			return -1, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		time.Sleep(pause) //nolint:forbidigo // nobody tells when a lock of another process is free
	}
}

// tryLock locks the file that has that name now: LVM removes a file when nobody else has it locked.
func tryLock(path string) (fd int, err error) {
	for {
		fd, err := open(path, unix.O_CREAT|unix.O_APPEND|unix.O_RDWR)
		if err != nil {
			return -1, err
		}
		if err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("%s: %w", path, err)
		}
		var held, named unix.Stat_t
		err, err2 := unix.Fstat(fd, &held), unix.Stat(path, &named)
		if err == nil && err2 == nil && held.Dev == named.Dev && held.Ino == named.Ino {
			return fd, nil
		}
		unix.Close(fd)
		if err != nil || err2 != nil && !errors.Is(err2, unix.ENOENT) {
			return -1, fmt.Errorf("%s: %w", path, errors.Join(err, err2))
		}
	}
}
