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

// lockPatience is how long a report waits for a change to end. After that it is made all the same: what a command that
// hangs has left is what there is to report.
const lockPatience = 10 * time.Second

// lockGroups takes the locks of those groups, and of devices that join or leave one. A lock that somebody keeps for longer than
// patience is gone without.
func lockGroups(folder string, groups []string, patience time.Duration) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	var files []*os.File
	unlock = func() {
		for _, f := range files {
			f.Close()
		}
	}
	until := time.Now().Add(patience)
	names := []string{"P_global"}
	for _, g := range groups {
		names = append(names, "V_"+g)
	}
	for _, name := range names {
		f, err := lockShared(filepath.Join(folder, name), until)
		if err != nil {
			unlock()
			return nil, err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	return unlock, nil
}

// lockShared returns the file that is locked until it is closed, or nil when somebody else kept the lock for too long.
func lockShared(path string, until time.Time) (*os.File, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		f, err := tryLock(path)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return f, err
		}
		if time.Now().After(until) {
			return nil, nil
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
