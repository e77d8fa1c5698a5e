package machine

import (
	"errors"
	"io"
	"time"
)

// ErrEscaped says that a person pressed Ctrl-] three times, which ends a guest that no longer answers: on a terminal
// in raw mode Ctrl-C is the guest's.
var ErrEscaped = errors.New("ended by Ctrl-] pressed three times")

const (
	escapeKey  = 0x1d // Ctrl-]
	escapeTime = time.Second
)

// escapeReader watches what a person types and calls escape when it is escapeKey three times within escapeTime.
type escapeReader struct {
	terminal io.Reader
	escape   func()
	pressed  int
	first    time.Time
}

func (r *escapeReader) Read(buffer []byte) (int, error) {
	n, err := r.terminal.Read(buffer)
	for _, key := range buffer[:n] {
		if r.press(key, time.Now()) {
			r.escape()
		}
	}
	return n, err
}

// press says whether this key completes the escape.
func (r *escapeReader) press(key byte, now time.Time) bool {
	switch {
	case key != escapeKey:
		r.pressed = 0
		return false
	case r.pressed == 0 || now.Sub(r.first) > escapeTime:
		r.pressed, r.first = 1, now
		return false
	}
	r.pressed++
	return r.pressed == 3
}
