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
	var files []*os.File
	unlock = func() {
		for _, f := range files {
			f.Close()
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
		f, failed := lockShared(filepath.Join(folder, name), until)
		if f != nil {
			files = append(files, f)
		}
		if failed != nil && !errors.Is(failed, ErrLocked) {
			return unlock, failed
		}
		err = errors.Join(err, failed)
	}
	return unlock, err
}

// lockShared returns the file that is locked until it is closed. Errors: ErrLocked.
func lockShared(path string, until time.Time) (*os.File, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		f, err := tryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		time.Sleep(pause) //nolint:forbidigo // nobody tells when a lock of another process is free
	}
}

// tryLock locks the file that has that name now: LVM removes a file when nobody else has it locked.
func tryLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o777)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		held, err := f.Stat()
		named, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(held, named) {
			return f, nil
		}
		f.Close()
		if err != nil || err2 != nil && !errors.Is(err2, os.ErrNotExist) {
			return nil, errors.Join(err, err2)
		}
	}
}
