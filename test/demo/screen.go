package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// indent is what stands before everything that belongs to a step.
const indent = "    "

// screen writes what the watcher sees: plain text, with colour and a moving clock only where it is a terminal.
type screen struct {
	out      io.Writer
	terminal bool
	colour   bool

	mu    sync.Mutex // guards what follows, and the writing
	clock bool       // the last line is a clock that the next text replaces
}

func newScreen(f *os.File) *screen {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return &screen{out: f, terminal: err == nil, colour: err == nil && os.Getenv("NO_COLOR") == ""}
}

// The styles, as SGR parameters (ECMA-48).
const (
	bold  = "1"
	dim   = "2"
	green = "32"
	cyan  = "36"
)

func (s *screen) style(sgr, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// print writes a line.
func (s *screen) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) title(n int, text string) { s.print("\n%2d. %s", n, s.style(bold, text)) }

func (s *screen) command(line string) { s.print("%s%s", indent, s.style(cyan, "$ "+line)) }

// done ends a step with what it proved and how long it took.
func (s *screen) done(proof string, took time.Duration) {
	s.print("%s%s %s %s", indent, s.style(green, "ok:"), proof, s.style(dim, fmt.Sprintf("(%.1f s)", took.Seconds())))
}

// wipe removes the clock; the lock is held.
func (s *screen) wipe() {
	if s.clock {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.clock = false
	}
}

// watch shows how long something has been going on until the channel is closed: on a terminal every second in one place,
// elsewhere in a line now and then.
func (s *screen) watch(what string, done <-chan struct{}) {
	start := time.Now()
	every := 10 * time.Second
	if s.terminal {
		every = time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.wipe()
			return
		case <-ticker.C:
			s.tick(fmt.Sprintf("%s... %s, %d s so far", indent, what, time.Since(start)/time.Second))
		}
	}
}

func (s *screen) tick(text string) {
	if !s.terminal {
		s.print("%s", text)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprint(s.out, s.style(dim, text))
	s.clock = true
}

// indented passes lines on to the screen, each indented. The last one needs no end.
type indented struct {
	screen *screen
	rest   []byte
}

func (w *indented) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, ok := strings.Cut(string(w.rest), "\n")
		if !ok {
			return len(b), nil
		}
		w.screen.print("%s%s", indent, line)
		w.rest = []byte(rest)
	}
}

func (w *indented) flush() {
	if len(w.rest) > 0 {
		w.screen.print("%s%s", indent, w.rest)
		w.rest = nil
	}
}
