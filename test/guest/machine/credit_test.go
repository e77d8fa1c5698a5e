package machine

import (
	"bytes"
	"errors"
	"sync"
	"testing"
)

// receiver is the far end of a line: it counts what is under way.
type receiver struct {
	mu       sync.Mutex // guards what follows
	received bytes.Buffer
	underWay int
	most     int
}

func (r *receiver) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underWay += len(data)
	r.most = max(r.most, r.underWay)
	return r.received.Write(data)
}

func (r *receiver) take() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.underWay
	r.underWay = 0
	return n
}

func TestPacedWriterNeverExceedsTheWindow(t *testing.T) {
	const window = 100
	far, ended := &receiver{}, make(chan struct{})
	w := pacedWriter{line: far, pace: newCredit(window), ended: ended}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			if _, err := w.Write([]byte("0123456789abcdefghijklmnopqrstuvwxyz")); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			if n := far.take(); n > 0 {
				w.pace.grant(int64(n))
			}
		}
	}
	if far.received.Len() != 36_000 || far.most > window {
		t.Errorf("received %d bytes of 36000, at most %d under way; want no more than %d", far.received.Len(), far.most, window)
	}
}

func TestPacedWriterGivesUpWhenTheGuestIsGone(t *testing.T) {
	ended := make(chan struct{})
	close(ended)
	w := pacedWriter{line: &receiver{}, pace: newCredit(3), ended: ended}
	if n, err := w.Write([]byte("12345")); n != 3 || !errors.Is(err, errLineEnded) {
		t.Errorf("Write = %d, %v; want what there was room for, and errLineEnded", n, err)
	}
}
