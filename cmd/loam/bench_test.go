package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/bench"
)

// diskFolder is one on a file system that is measured, with direct I/O; the test is skipped where there is none.
func diskFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	f, err := os.OpenFile(filepath.Join(folder, "probe"), os.O_CREATE|os.O_RDWR|unix.O_DIRECT, 0o600)
	if err != nil {
		t.Skipf("%s does no direct I/O: %v", folder, err)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	p, err := bench.Open(t.Context(), bench.Wanted{Path: folder, Size: 1 << 20})
	if err != nil {
		t.Skip(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return folder
}

// trigger calls a function once something was written that has the word.
type trigger struct {
	bytes.Buffer
	word string
	do   func()
}

func (w *trigger) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.word) {
		w.do()
	}
	return w.Buffer.Write(b)
}

func TestInterruptedBenchPrintsWhatItHasAndLeavesNothing(t *testing.T) {
	folder := diskFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &trigger{word: "1 of 24", do: func() { time.AfterFunc(time.Second, cancel) }}
	hours := now // of a clock on which every line comes long after the one before
	clock := func() time.Time { hours = hours.Add(time.Hour); return hours }
	a := &app{stdout: &out, stderr: errs, getenv: func(string) string { return "" }, now: clock}
	code := a.run(ctx, []string{"bench", "run", folder, "--engine", "built-in", "--size", "1Mi", "--runtime", "1h", "--warm-up", "0s"})
	if code != exitFailed || !strings.Contains(errs.String(), "loam: interrupted: ") {
		t.Errorf("exit code %d, and on the standard error:\n%s", code, &errs.Buffer)
	}
	if !strings.Contains(out.String(), "partial") || !strings.Contains(out.String(), "seq-read") {
		t.Errorf("printed:\n%s\nexpected what there is, marked", &out)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v stays behind (%v)", left, err)
	}
}

func TestBenchSaysWhatItDoesNotTake(t *testing.T) {
	memory := "/proc" // no disk's, and not written to
	for want, args := range map[string][]string{
		"expected one PATH or DEVICE":                                      {},
		`unknown profile "fast": expected quick, full`:                     {memory, "--profile", "fast"},
		"reading the profile: open ./none: no such file":                   {memory, "--profile", "./none"},
		"a runtime of 1ms: expected 100ms to 24h0m0s":                      {memory, "--runtime", "1ms"},
		"0 repetitions: expected 1 to 1000":                                {memory, "--repetitions", "0"},
		"a size of 1 KiB: expected at least 1 MiB":                         {memory, "--size", "1Ki"},
		"expected auto or fio or fio-io_uring or built-in":                 {memory, "--engine", "dd"},
		"stat /none: no such file or directory":                            {"/none", "--engine", "built-in"},
		"/dev/null is a special file: expected a folder or a block device": {"/dev/null", "--engine", "built-in"},
		"a serial number was given to have a block device written":         {"/dev", "--engine", "built-in", "--write", "X"},
	} {
		var errs bytes.Buffer
		a := &app{stdout: &bytes.Buffer{}, stderr: &errs, getenv: func(string) string { return "" }, now: time.Now}
		if code := a.run(t.Context(), append([]string{"bench", "run"}, args...)); code == exitOK || !strings.Contains(errs.String(), want) {
			t.Errorf("bench run %q: exit code %d, %s; want %q", args, code, &errs, want)
		}
	}
}

func TestProgressIsOneLine(t *testing.T) {
	for want, p := range map[string]bench.Progress{
		"prepare /mnt":                          {Place: "/mnt", Job: "prepare"},
		"4 of 24, 1m10s left: seq-read in /mnt": {Place: "/mnt", Job: "seq-read", Done: 3, Total: 24, Left: 70*time.Second + time.Millisecond},
	} {
		if got := progress(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	// Where nothing is written over, lines come seldom.
	var errs bytes.Buffer
	clock := now
	a := &app{stderr: &errs, now: func() time.Time { return clock }}
	tell := a.benchProgress()
	for i := range 25 {
		tell(bench.Progress{Place: "x", Job: "j", Done: i, Total: 25})
		clock = clock.Add(time.Second)
	}
	tell(bench.Over)
	if got := strings.Count(errs.String(), "\n"); got != 2 || !strings.HasPrefix(errs.String(), "loam bench: 11 of 25, 0s left: j in x\n") {
		t.Errorf("in 25 s it told:\n%s", &errs)
	}
}
