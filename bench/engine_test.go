package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// bothEngines runs a test with the built-in engine and, where there is one, with fio.
func bothEngines(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Run("built-in", func(t *testing.T) { test(t, Direct{}) })
	t.Run("fio", func(t *testing.T) { test(t, fio(t)) })
}

// engines has fio's other way besides.
func engines(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	lvmtest.Anywhere(t)
	bothEngines(t, test)
	t.Run("fio with io_uring", func(t *testing.T) {
		fio(t)
		f, err := FindFio(t.Context(), ioUring)
		if err != nil {
			t.Skip(err)
		}
		test(t, f)
	})
}

func TestEnginesCountEachOperationOnce(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	engines(t, func(t *testing.T, e Engine) {
		for _, j := range []Job{
			{Name: "seq-read", Pattern: Read, BlockSize: lvm.MiB, Depth: 8},
			{Name: "seq-write", Pattern: Write, BlockSize: 64 * lvm.KiB, Depth: 1},
			{Name: "rand-read", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 32},
			{Name: "rand-write", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 1},
			{Name: "mixed", Pattern: RandRW, BlockSize: 4 * lvm.KiB, Depth: 32, ReadPercent: 70},
			{Name: "log", Pattern: Write, BlockSize: 2300, Depth: 1, Sync: true},
		} {
			t.Run(j.Name, func(t *testing.T) {
				s := Spec{Job: j, Path: path, Size: 4 * lvm.MiB, WarmUp: 20 * time.Millisecond, Runtime: 100 * time.Millisecond}
				m, err := e.Run(t.Context(), s)
				if err == nil && m.CPU == (CPU{}) { // fio counts whole milliseconds, of which a busy machine may have given it none
					s.Runtime = 2 * time.Second
					m, err = e.Run(t.Context(), s)
				}
				if err != nil {
					t.Fatal(err)
				}
				consistent(t, j, m)
			})
		}
	})
}

func TestEnginesReachEveryBlockOnce(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	engines(t, func(t *testing.T, e Engine) {
		for _, pattern := range []Pattern{Write, RandWrite} {
			m, err := e.Run(t.Context(), Spec{Job: Job{Name: "first", Pattern: pattern, BlockSize: 4 * lvm.KiB, Depth: 32}, Path: path, Size: 4 * lvm.MiB, Once: true})
			if err != nil || m.Write.Bytes != 4*lvm.MiB || m.Write.Operations != 1024 {
				t.Errorf("%s wrote %v of 4Mi in %d operations, %v", pattern, m.Write.Bytes, m.Write.Operations, err)
			}
		}
	})
}

func TestEnginesStopWhenToldAndKeepWhatTheyHave(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	spec := Spec{Job: Job{Name: "j", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 4}, Path: path, Size: 4 * lvm.MiB, Runtime: time.Hour}
	engines(t, func(t *testing.T, e Engine) {
		var m Measurement
		for after := 500 * time.Millisecond; m.Write.Operations == 0 && after < time.Minute; after *= 2 { // fio takes a while to begin
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			var err error
			if m, err = e.Run(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("ended with %v; expected the context's error", err)
			}
		}
		if m.Write.Operations == 0 || m.Elapsed == 0 {
			t.Errorf("%d writes in %v; expected what was done by then", m.Write.Operations, m.Elapsed)
		}
		if processes := with(t, path); len(processes) > 0 {
			t.Errorf("processes %v go on", processes)
		}
	})
}

// with are the processes that have a word in their command line.
func with(t *testing.T, word string) (processes []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && strings.Contains(string(line), word) { // those that ended meanwhile have none
			processes = append(processes, filepath.Base(filepath.Dir(f)))
		}
	}
	return processes
}

func TestEnginesRefuseWhatCannotBe(t *testing.T) {
	path := written(t, 64*lvm.KiB)
	good := Spec{Job: Job{Name: "j", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 1}, Path: path, Size: 64 * lvm.KiB, Runtime: time.Second}
	impossible := map[string]func(*Spec){
		"depth 0: expected 1 to 1024":      func(s *Spec) { s.Job.Depth = 0 },
		"expected a block size above 0":    func(s *Spec) { s.Job.BlockSize = 0 },
		"room for a block":                 func(s *Spec) { s.Size = 512 },
		"expected more than 0":             func(s *Spec) { s.Runtime = 0 },
		"expected one that writes":         func(s *Spec) { s.Job.Sync = true },
		"no such file":                     func(s *Spec) { s.Path += "x" },
		"the file system refuses O_DIRECT": func(s *Spec) { s.Path = "/proc/version" },
	}
	bothEngines(t, func(t *testing.T, e Engine) {
		for want, change := range impossible {
			s := good
			change(&s)
			if _, err := e.Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v; expected %q", err, want)
			}
		}
	})
}

func TestChoiceOfAnEngine(t *testing.T) {
	e, note, err := Choose(t.Context(), Auto)
	if _, absent := FindFio(t.Context(), libaio); absent != nil {
		if _, ok := e.(Direct); !ok || !strings.Contains(note, "the built-in engine measures, as fio cannot be used") || err != nil {
			t.Errorf("without fio: %v, %q, %v; expected the built-in engine, and why", e, note, err)
		}
	} else if !strings.HasPrefix(e.Name(), "fio 3.") || note != "" || err != nil {
		t.Errorf("with fio: %v, %q, %v", e, note, err)
	}
	if e, _, err := Choose(t.Context(), BuiltIn); err != nil || e.Name() != "built-in" {
		t.Errorf("%v, %v; expected the built-in one", e, err)
	}
	if _, _, err := Choose(t.Context(), "dd"); err == nil || !strings.Contains(err.Error(), "auto, fio, fio-io_uring, built-in") {
		t.Errorf("%v; expected the engines that there are", err)
	}
}
