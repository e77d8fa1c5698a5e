package bench

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// TestEnginesFigures prints how much the built-in engine does of what fio does on the same file, in turns, and the processor time that
// an operation takes with either. `make bench` runs it on this machine: in User Mode Linux calls of the kernel would be compared.
func TestEnginesFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" {
		t.Skip("prints figures: LOAM_FIGURES=1")
	}
	path, other := written(t, 64*lvm.MiB), fio(t)
	fmt.Printf("\nbuilt-in engine against %s on one file, in twenty turns: operations a second as a ratio, and processor time for each\n", other.Name())
	for _, depth := range []int{1, 32} {
		for _, pattern := range []Pattern{RandRead, RandWrite} {
			job := Job{Name: fmt.Sprintf("%s, depth %d", pattern, depth), Pattern: pattern, BlockSize: 4 * lvm.KiB, Depth: depth}
			builtIn, fios := JobResult{Job: job}, JobResult{Job: job}
			for turn := range int64(20) {
				s := Spec{Job: job, Path: path, Size: 64 * lvm.MiB, WarmUp: 200 * time.Millisecond, Runtime: time.Second, Seed: turn}
				engines, results := []Engine{Direct{}, other}, []*JobResult{&builtIn, &fios}
				for i := range engines {
					i = (i + int(turn)) % len(engines)
					m, err := engines[i].Run(t.Context(), s)
					if err != nil {
						t.Fatal(err)
					}
					results[i].Runs = append(results[i].Runs, m)
				}
			}
			r := Ratio(builtIn, fios)
			fmt.Printf("  %-20s %.2f (%.2f to %.2f), %v and %v\n", job.Name, r.Value, r.Low, r.High, short(builtIn.CPUPerIO()), short(fios.CPUPerIO()))
		}
	}
}
