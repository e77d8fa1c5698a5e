package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// blockSize is what the writer writes and syncs at a time.
const blockSize = 1 << 20

// pace is the time between blocks before the stop, as of a log.
const pace = 100 * time.Millisecond

// writer writes blocks whose contents follow from their number, each synced, so that every byte can be checked later.
type writer struct {
	path    string
	before  int           // blocks to write before the stop at most
	least   int           // blocks to write at least, in all
	blocks  int           // written so far
	during  int           // written before the stop
	longest time.Duration // of all waits for a block to be on the disk
}

// write goes on at its pace until stop is closed, and then at full speed until the least is written.
func (w *writer) write(stop <-chan struct{}) error {
	f, err := os.Create(w.path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, blockSize)
	for !w.pause(stop) || w.blocks < w.least {
		fill(block, w.blocks)
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		w.longest = max(w.longest, time.Since(began))
		w.blocks++
	}
	return f.Close()
}

// pause waits until the next block is due, and says whether stop is closed. With nothing more to write before that, it
// waits for it.
func (w *writer) pause(stop <-chan struct{}) (stopped bool) {
	var due <-chan time.Time
	if w.blocks < w.before {
		due = time.After(pace)
	}
	select {
	case <-stop:
		return true
	case <-due:
		w.during = w.blocks + 1
		return false
	}
}

// fill writes what block n holds.
func fill(block []byte, n int) {
	seed := [32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	_, _ = rand.NewChaCha8(seed).Read(block) // never fails
}

// verify reads back what was written, from the disk and not from the page cache.
func (w *writer) verify() error {
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("%s: dropping its pages: %w", w.path, err)
	}
	got, want := make([]byte, blockSize), make([]byte, blockSize)
	for n := range w.blocks {
		if _, err := io.ReadFull(f, got); err != nil {
			return fmt.Errorf("%s: block %d of %d: %w", w.path, n, w.blocks, err)
		}
		if fill(want, n); !bytes.Equal(got, want) {
			return fmt.Errorf("%s: block %d of %d is not what was written", w.path, n, w.blocks)
		}
	}
	if n, _ := f.Read(got); n > 0 {
		return fmt.Errorf("%s is longer than the %d blocks that were written", w.path, w.blocks)
	}
	return nil
}
