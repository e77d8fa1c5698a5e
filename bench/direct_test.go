package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"golang.org/x/sys/unix"
)

// written makes a file that direct I/O can be done on; where a test has disks, on one of them.
func written(t *testing.T, size lvm.Bytes) string {
	t.Helper()
	folder := t.TempDir()
	if os.Getenv(lvmtest.DisksEnv) != "" {
		disk := lvmtest.RequireDisks(t, 1)[0]
		format(t, disk, "64M")
		folder = mounted(t, disk)
	}
	path := filepath.Join(folder, "file")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0); err != nil {
		t.Skipf("%s does no direct I/O: %v", folder, err)
	} else {
		f.Close()
	}
	return path
}

func TestDirectMeasuresNoLongerThanItShould(t *testing.T) {
	j := Job{Name: "rand-read", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 32}
	m, err := Direct{}.Run(t.Context(), Spec{Job: j, Path: written(t, 4*lvm.MiB), Size: 4 * lvm.MiB, WarmUp: 20 * time.Millisecond, Runtime: 100 * time.Millisecond})
	if err != nil || m.Elapsed > 100*time.Millisecond {
		t.Errorf("measured for %v, %v; expected 100ms at most", m.Elapsed, err)
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
		"multiple of the device's logical block": func(s *Spec) { s.Job.BlockSize = 100 },
		"only 0 bytes":                           func(s *Spec) { s.Size, s.Once, s.Job.Pattern = lvm.MiB, true, Read },
	} {
		s := good
		change(&s)
		if _, err := (Direct{}).Run(t.Context(), s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; expected %q", err, want)
		}
	}
}

func TestDirectReachesEachChunkOnce(t *testing.T) {
	for _, c := range []struct{ size, apart, want lvm.Bytes }{
		{4 * lvm.MiB, 64 * lvm.KiB, 64 * 4 * lvm.KiB}, {4 * lvm.MiB, lvm.KiB, 4 * lvm.MiB}, {lvm.MiB, lvm.GiB, 4 * lvm.KiB}, {100 * lvm.KiB, 64 * lvm.KiB, 4 * lvm.KiB},
	} {
		t.Run(fmt.Sprintf("%v apart in %v", c.apart, c.size), func(t *testing.T) {
			path := written(t, c.size)
			s := Spec{Job: Job{Name: "first", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 32}, Path: path, Size: c.size, Apart: c.apart, Once: true}
			m, err := Direct{}.Run(t.Context(), s)
			if err != nil || m.Write.Bytes != c.want {
				t.Errorf("%v written, %v; want %v", m.Write.Bytes, err, c.want)
			}
			all, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for at := lvm.Bytes(0); c.apart > s.Job.BlockSize && at+c.apart <= c.size; at += c.apart {
				if !slices.ContainsFunc(all[at:at+s.Job.BlockSize], func(b byte) bool { return b != 0 }) {
					t.Fatalf("nothing at %v", at)
				}
			}
		})
	}
	if _, err := (Fio{}).Run(t.Context(), Spec{Job: Job{Pattern: RandWrite, BlockSize: 1, Depth: 1}, Size: 2, Apart: 2, Once: true}); err == nil {
		t.Error("fio was taken, which has no such order")
	}
}
