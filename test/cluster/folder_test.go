package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSweepRemovesWhatADeadClusterLeftAndNothingElse(t *testing.T) {
	in := t.TempDir()
	living, lock, err := newFolder(in)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	dead, released, err := newFolder(in)
	if err != nil {
		t.Fatal(err)
	}
	released.Close()
	stranger := filepath.Join(in, "loam-cluster-without-lock")
	if err := os.Mkdir(stranger, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sweep(in); err != nil {
		t.Fatal(err)
	}
	for dir, kept := range map[string]bool{living: true, stranger: true, dead: false} {
		if _, err := os.Stat(dir); (err == nil) != kept {
			t.Errorf("%s: kept should be %v; %v", dir, kept, err)
		}
	}
}

func TestClusterIsAliveAsLongAsItsLock(t *testing.T) {
	dir, lock, err := newFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := isAlive(dir); !alive || err != nil {
		t.Errorf("a locked folder: alive is %v, %v", alive, err)
	}
	lock.Close()
	for _, d := range []string{dir, filepath.Join(dir, "nothing")} {
		if alive, err := isAlive(d); alive || err != nil {
			t.Errorf("%s: alive is %v, %v", d, alive, err)
		}
	}
}

func TestWaitForLockWaitsForWhoeverHasItAndForNoLongerThanItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := waitForLock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := waitForLock(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while somebody has the lock: %v; it should wait in vain", err)
	}
	unlock()
	again, err := waitForLock(t.Context(), path)
	if err != nil {
		t.Fatalf("once the lock is free: %v", err)
	}
	again()
}
