package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	folderPattern = "loam-cluster-*" // of the folders of clusters that run
	lockFile      = "lock"           // in such a folder: locked for as long as the cluster's process lives (flock(2))
)

// newFolder makes a folder for a cluster, locked, in another one.
func newFolder(in string) (dir string, lock *os.File, err error) {
	if dir, err = os.MkdirTemp(in, folderPattern); err != nil {
		return "", nil, err
	}
	// Under its final name the file is locked from the beginning, or sweep would take the folder for a dead one's.
	path := filepath.Join(dir, lockFile)
	if lock, err = os.Create(path + ".new"); err != nil {
		return "", nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", nil, err
	}
	return dir, lock, os.Rename(path+".new", path)
}

// isAlive says whether the process of a cluster's folder lives. A folder that is not there has none.
func isAlive(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return isLocked(f)
}

func isLocked(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// sweep removes the folders whose processes were killed before they could: a cluster's processes end with it, its files do
// not. A folder without a lock is somebody else's.
func sweep(in string) error {
	locks, err := filepath.Glob(filepath.Join(in, folderPattern, lockFile))
	if err != nil {
		return err
	}
	for _, l := range locks {
		dir := filepath.Dir(l)
		alive, err := isAlive(dir)
		if err == nil && !alive {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waitForLock waits until nobody else has a file locked, which is made if it is not there, and locks it until unlock.
func waitForLock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
