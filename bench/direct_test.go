package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"golang.org/x/sys/unix"
)

// written makes a file that direct I/O can be done on.
func written(t *testing.T, size lvm.Bytes) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0); err != nil {
		t.Skipf("%s does no direct I/O: %v", t.TempDir(), err)
	} else {
		f.Close()
	}
	return path
}

func TestDirectCountsEachOperationOnce(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	for _, j := range []Job{
		{Name: "seq-read", Pattern: Read, BlockSize: lvm.MiB, Depth: 8},
		{Name: "seq-write", Pattern: Write, BlockSize: 64 * lvm.KiB, Depth: 1},
		{Name: "rand-read", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 32},
		{Name: "rand-write", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 1},
		{Name: "mixed", Pattern: RandRW, BlockSize: 4 * lvm.KiB, Depth: 32, ReadPercent: 70},
		{Name: "log", Pattern: Write, BlockSize: 2300, Depth: 1, Sync: true},
	} {
		t.Run(j.Name, func(t *testing.T) {
			m, err := Direct{}.Run(t.Context(), Spec{Job: j, Path: path, Size: 4 * lvm.MiB, WarmUp: 20 * time.Millisecond, Runtime: 100 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			var operations int64
			for _, d := range []Direction{m.Read, m.Write} {
				operations += d.Operations
				if d.Bytes != lvm.Bytes(d.Operations)*j.BlockSize || d.Latency.Count() != d.Operations {
					t.Errorf("%d operations of %v, %v, %d latencies: they differ", d.Operations, j.BlockSize, d.Bytes, d.Latency.Count())
				}
			}
			var series int64
			for _, second := range m.Series {
				series += second.Operations
			}
			if operations == 0 || series != operations || m.All < m.Read.Bytes+m.Write.Bytes {
				t.Errorf("%d operations, %d in the series, %v moved in all", operations, series, m.All)
			}
			if (m.Write.Operations > 0) != j.Writes() || (m.Read.Operations > 0) != (j.Pattern != Write && j.Pattern != RandWrite) {
				t.Errorf("%d reads, %d writes by pattern %s", m.Read.Operations, m.Write.Operations, j.Pattern)
			}
			if j.Sync != (m.Sync.Operations > 0) || j.Sync && m.Sync.Operations != operations {
				t.Errorf("%d flushes for %d writes", m.Sync.Operations, operations)
			}
			if m.Elapsed <= 0 || m.Elapsed > 100*time.Millisecond || m.CPU.User+m.CPU.System <= 0 {
				t.Errorf("measured for %v, with processor time %+v", m.Elapsed, m.CPU)
			}
		})
	}
}

func TestDirectReachesEveryBlockOnce(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	for _, pattern := range []Pattern{Write, RandWrite} {
		m, err := Direct{}.Run(t.Context(), Spec{Job: Job{Name: "first", Pattern: pattern, BlockSize: 4 * lvm.KiB, Depth: 32}, Path: path, Size: 4 * lvm.MiB, Once: true})
		if err != nil || m.Write.Bytes != 4*lvm.MiB {
			t.Errorf("%s wrote %v of 4Mi, %v", pattern, m.Write.Bytes, err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for block := range slices.Chunk(content, 4096) {
		words[string(block[:8])] = true
	}
	if len(words) != 1024 {
		t.Errorf("%d different blocks in the file, expected all 1024 written, each of its own", len(words))
	}
}

func TestRandomOrderOfAllLeavesNoBlockOut(t *testing.T) {
	for _, count := range []lvm.Bytes{1, 2, 3, 7, 10, 64, 618, 1000, 1024} {
		b := newBlocks(Spec{Job: Job{Pattern: RandWrite, BlockSize: 1}, Size: count, Once: true, Seed: 5})
		seen := map[int64]bool{}
		for offset, ok := b.next(); ok; offset, ok = b.next() {
			seen[offset] = true
		}
		if len(seen) != int(count) {
			t.Errorf("%d of %d blocks were reached", len(seen), count)
		}
	}
}

func TestDirectStopsAtOnce(t *testing.T) {
	path := written(t, 4*lvm.MiB)
	for _, sync := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		m, err := Direct{}.Run(ctx, Spec{Job: Job{Name: "j", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 4, Sync: sync}, Path: path, Size: 4 * lvm.MiB, Runtime: time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) || m.Write.Operations == 0 || time.Since(began) > 10*time.Second {
			t.Errorf("ended after %v with %v and %d writes; expected the context's error and what was done by then", time.Since(began), err, m.Write.Operations)
		}
	}
}

func TestDirectRefusesWhatCannotBe(t *testing.T) {
	path := written(t, 64*lvm.KiB)
	good := Spec{Job: Job{Name: "j", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 1}, Path: path, Size: 64 * lvm.KiB, Runtime: time.Second}
	for want, change := range map[string]func(*Spec){
		"depth 0: expected 1 to 1024":            func(s *Spec) { s.Job.Depth = 0 },
		"expected a block size above 0":          func(s *Spec) { s.Job.BlockSize = 0 },
		"room for a block":                       func(s *Spec) { s.Size = 512 },
		"expected more than 0":                   func(s *Spec) { s.Runtime = 0 },
		"multiple of the device's logical block": func(s *Spec) { s.Job.BlockSize = 100 },
		"expected one that writes":               func(s *Spec) { s.Job.Sync = true },
		"no such file":                           func(s *Spec) { s.Path += "x" },
		"only 0 bytes":                           func(s *Spec) { s.Size, s.Once, s.Job.Pattern = lvm.MiB, true, Read },
	} {
		s := good
		change(&s)
		if _, err := (Direct{}).Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; expected %q", err, want)
		}
	}
}
