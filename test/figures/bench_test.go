package figures

import (
	"fmt"
	"testing"
	"time"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// TestEnginesFigures prints what the built-in engine does of what fio does on the same file, in turns, and the processor
// time that an operation takes with either.
func TestEnginesFigures(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	run(t, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", disk, "512M")
	folder := t.TempDir()
	run(t, "mount", disk, folder)
	t.Cleanup(func() { run(t, "umount", folder) })
	profile := bench.Profile{Name: "engines", Size: 64 * lvm.MiB, WarmUp: 200 * time.Millisecond, Runtime: 2 * time.Second, Repetitions: 1}
	for _, depth := range []int{1, 32} {
		for _, pattern := range []bench.Pattern{bench.RandRead, bench.RandWrite} {
			profile.Jobs = append(profile.Jobs, bench.Job{Name: fmt.Sprintf("%s, depth %d", pattern, depth), Pattern: pattern, BlockSize: 4 * lvm.KiB, Depth: depth})
		}
	}
	place, err := bench.Open(t.Context(), bench.Wanted{Path: folder, Size: profile.Size})
	check(t, err)
	fio, _, err := bench.Choose(t.Context(), bench.WithFio)
	check(t, err)
	results := map[string][]bench.JobResult{}
	for range 5 {
		for _, e := range []bench.Engine{fio, bench.Direct{}} {
			stages, err := bench.Run(t.Context(), bench.Plan{Profile: profile, Engine: e, Places: []*bench.Place{place}})
			check(t, err)
			results[e.Name()] = append(results[e.Name()], stages[0].Jobs...)
		}
	}
	check(t, place.Close())
	fmt.Printf("\nbuilt-in engine against %s on one file: operations a second as a ratio, and processor time for each\n", fio.Name())
	for i, job := range profile.Jobs {
		builtIn, fios := together(results[bench.BuiltIn], i, len(profile.Jobs)), together(results[fio.Name()], i, len(profile.Jobs))
		r := bench.Ratio(builtIn, fios)
		fmt.Printf("  %-20s %.2f (%.2f to %.2f), %v and %v\n", job.Name, r.Value, r.Low, r.High, round(builtIn.CPUPerIO()), round(fios.CPUPerIO()))
	}
}

// together are all runs of the job that is the first-th of every so many.
func together(all []bench.JobResult, first, of int) bench.JobResult {
	result := bench.JobResult{Job: all[first].Job}
	for i := first; i < len(all); i += of {
		result.Runs = append(result.Runs, all[i].Runs...)
	}
	return result
}
