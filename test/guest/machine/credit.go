package machine

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/loam-storage/loam/test/guest/wire"
)

// credit is how many bytes the other side has room for.
type credit struct {
	left  *atomic.Int64
	woken chan struct{}
}

func newCredit(window int64) credit {
	c := credit{left: new(atomic.Int64), woken: make(chan struct{}, 1)}
	c.left.Store(window)
	return c
}

func (c credit) grant(n int64) {
	c.left.Add(n)
	select {
	case c.woken <- struct{}{}:
	default: // it is awake
	}
}

// take waits for room and gives how much of want there is; 0: ended was closed first.
func (c credit) take(want int, ended <-chan struct{}) int {
	for {
		if room := min(int64(want), c.left.Load()); room > 0 {
			c.left.Add(-room)
			return int(room)
		}
		select {
		case <-c.woken:
		case <-ended:
			return 0
		}
	}
}

// grant adds what a frame of the guest says.
func grant(c credit, payload []byte) error {
	n, err := wire.ParseCount(payload)
	if err != nil {
		return err
	}
	c.grant(n)
	return nil
}

// pacedWriter writes to the serial line no more than the guest has room for. One goroutine at a time may write.
type pacedWriter struct {
	line  io.Writer
	pace  credit
	ended <-chan struct{}
}

var errLineEnded = errors.New("the guest no longer listens")

func (w pacedWriter) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		room := w.pace.take(len(data)-written, w.ended)
		if room == 0 {
			return written, errLineEnded
		}
		n, err := w.line.Write(data[written : written+room])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
