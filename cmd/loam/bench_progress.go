package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/bench"
)

// seldom is how far apart lines about progress are where each one stays.
const seldom = 10 * time.Second

// benchProgress tells people how far a measurement is: on a terminal in one line that is written over, elsewhere in a line now and then.
func (a *app) benchProgress() func(bench.Progress) {
	onTerminal, last := isTerminal(a.stderr), a.now()
	return func(p bench.Progress) {
		switch now := a.now(); {
		case onTerminal && p == bench.Over:
			fmt.Fprint(a.stderr, "\r\x1b[K")
		case onTerminal:
			fmt.Fprintf(a.stderr, "\r\x1b[K%.*s", terminal-1, progress(p))
		case p != bench.Over && now.Sub(last) >= seldom:
			fmt.Fprintf(a.stderr, "loam bench: %s\n", progress(p))
			last = now
		}
	}
}

// progress is one line: "3 of 24, 1m10s left: rand-read-1 in /mnt/data".
func progress(p bench.Progress) string {
	if p.Total == 0 {
		return fmt.Sprintf("%s %s", p.Job, p.Place)
	}
	return fmt.Sprintf("%d of %d, %v left: %s in %s", p.Done+1, p.Total, p.Left.Round(time.Second), p.Job, p.Place)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// benchFailed turns what a measurement failed with into one sentence.
func (a *app) benchFailed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return refuse("interrupted: what it had made is removed, and the figures are of what was measured until then")
	}
	return refuse("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}
