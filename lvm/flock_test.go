package lvm

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// change has the lock of a group as a command that changes it has, and releases it as LVM does: the file is gone then.
func change(t *testing.T, folder, group string) (end func()) {
	t.Helper()
	path := filepath.Join(folder, "V_"+group)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o777)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
		f.Close()
	}
}

func TestReportWaitsForTheEndOfAChange(t *testing.T) {
	folder := t.TempDir()
	end := change(t, folder, "busy")
	var changed atomic.Bool
	time.AfterFunc(100*time.Millisecond, func() { changed.Store(true); end() })
	unlock, err := lockGroups(folder, []string{"free", "busy"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !changed.Load() {
		t.Error("the lock was had while a change went on")
	}
	f, err := os.Open(filepath.Join(folder, "V_busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		t.Error("a change could begin while the report was made")
	}
	unlock()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("no change could begin after it: %v", err)
	}
}

// A command that hangs must not keep anybody from knowing what it left.
func TestReportDoesNotWaitForEver(t *testing.T) {
	folder := t.TempDir()
	defer change(t, folder, "hung")()
	unlock, err := lockGroups(folder, []string{"hung"}, 20*time.Millisecond)
	if !errors.Is(err, ErrLocked) {
		t.Errorf("after its patience: %v", err)
	}
	unlock()
}
