package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// fake is an engine that does nothing for as long as it is told, and says what the test wants.
type fake func(ctx context.Context, s Spec) (Measurement, error)

func (fake) Name() string { return "fake" }

func (f fake) Run(ctx context.Context, s Spec) (Measurement, error) { return f(ctx, s) }

// did is a run of so many reads in a second.
func did(n int64) Measurement {
	return Measurement{Elapsed: time.Second, Read: Direction{Operations: n, Bytes: lvm.Bytes(n) * smallBlock}}
}

// three is a profile of three jobs.
func threeJobs(repetitions int) Profile {
	job := func(name string, p Pattern) Job { return Job{Name: name, Pattern: p, BlockSize: smallBlock, Depth: 1} }
	return Profile{Name: "p", Runtime: shortRuntime, Repetitions: repetitions, MaxRounds: 9, Jobs: []Job{job("a", Read), job("b", RandRead), job("c", Write)}}
}

func TestOrderOfJobsAlternates(t *testing.T) {
	var order []string
	var told []string
	e := fake(func(_ context.Context, s Spec) (Measurement, error) {
		order = append(order, s.Job.Name+fmt.Sprint(s.Seed))
		return did(100), nil
	})
	tell := func(p Progress) { told = append(told, fmt.Sprintf("%s%d/%d", p.Job, p.Done, p.Total)) }
	stages, err := Run(t.Context(), Plan{Profile: threeJobs(3), Engine: e, Places: []*Place{{Name: "x"}}, Seed: 5, Tell: tell})
	if err != nil || strings.Join(order, " ") != "a5 b5 c5 c6 b6 a6 a7 b7 c7" {
		t.Errorf("%v, %v; expected every second round backwards, each with a seed of its own", order, err)
	}
	if strings.Join(told, " ") != "a0/9 b1/9 c2/9 c3/9 b4/9 a5/9 a6/9 b7/9 c8/9 0/0" {
		t.Errorf("told %v", told)
	}
	for _, j := range stages[0].Jobs {
		// No device is counted for the place. How busy this machine is does not matter here.
		if len(j.Runs) != 3 || !slices.Contains(j.Labels, Unchecked) || slices.Contains(j.Labels, Quick) || slices.Contains(j.Labels, Partial) {
			t.Errorf("%s has %d runs, labels %v", j.Job.Name, len(j.Runs), j.Labels)
		}
	}
}

func TestInterruptionKeepsAndLabelsWhatThereIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := fake(func(ctx context.Context, s Spec) (Measurement, error) {
		if s.Job.Name == "b" {
			cancel()
		}
		return did(100), ctx.Err()
	})
	stages, err := Run(ctx, Plan{Profile: threeJobs(1), Engine: e, Places: []*Place{{Name: "x"}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v; expected the context's error", err)
	}
	for i, runs := range []int{1, 1, 0} {
		if j := stages[0].Jobs[i]; len(j.Runs) != runs || slices.Contains(j.Labels, Partial) != (i > 0) || (j.Error != "") != (i == 1) {
			t.Errorf("job %s: %d runs, labels %v, error %q", j.Job.Name, len(j.Runs), j.Labels, j.Error)
		}
	}
}

func TestJobThatFailedIsNotTriedAgain(t *testing.T) {
	tries := 0
	e := fake(func(_ context.Context, s Spec) (Measurement, error) {
		if s.Job.Name != "b" {
			return did(100), nil
		}
		tries++
		return Measurement{}, errors.New("the disk is gone")
	})
	stages, err := Run(t.Context(), Plan{Profile: threeJobs(3), Engine: e, Places: []*Place{{Name: "x"}}})
	if err == nil || err.Error() != "b in x: the disk is gone" || tries != 1 || len(stages[0].Jobs[0].Runs) != 3 {
		t.Errorf("%v after %d tries; expected one, and the other jobs to go on", err, tries)
	}
	if j := stages[0].Jobs[1]; j.Error != "the disk is gone" || !slices.Contains(j.Labels, Partial) {
		t.Errorf("%+v; expected the error, labelled", j)
	}
}

func TestSteadyGoesOnUntilItIs(t *testing.T) {
	p := threeJobs(2)
	p.Steady = true
	runs := map[string]int64{}
	e := fake(func(_ context.Context, s Spec) (Measurement, error) {
		runs[s.Job.Name]++
		if n := runs[s.Job.Name]; s.Job.Name == "b" && n < 4 || s.Job.Name == "c" {
			return did(100 << n), nil
		}
		return did(100), nil
	})
	stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{{Name: "x"}}})
	if err != nil || runs["a"] != 5 || runs["b"] != 8 || runs["c"] != int64(p.MaxRounds) {
		t.Errorf("%v, %v; expected a steady after 5 rounds, b after 8, and c never", runs, err)
	}
	for i, want := range []bool{false, false, true} {
		if j := stages[0].Jobs[i]; slices.Contains(j.Labels, NotSteady) != want {
			t.Errorf("job %s is labelled %v", j.Job.Name, j.Labels)
		}
	}
}

func TestDoubtsAreLabelled(t *testing.T) {
	falling := func(n int64) (s []Second) {
		for range 4 {
			s = append(s, Second{Operations: n})
		}
		return s
	}
	busy := did(100)
	busy.CPU.System = 970 * time.Millisecond
	all := did(100)
	all.Busy = 0.97
	first, second, third := did(100), did(100), did(100)
	first.Series, second.Series, third.Series = falling(100), falling(90), falling(50)
	log := threeJobs(1).Jobs[2]
	log.Sync = true
	for name, c := range map[string]struct {
		result JobResult
		change func(*Profile)
		want   []Label
	}{
		"none":                           {JobResult{Runs: []Measurement{did(1), did(1), did(1)}}, nil, nil},
		"one of the processors was busy": {JobResult{Runs: []Measurement{did(1), did(1), busy}}, nil, []Label{CPUSaturated}},
		"all processors were busy":       {JobResult{Runs: []Measurement{did(1), all, all}}, nil, []Label{CPUSaturated}},
		"from run to run it became less": {JobResult{Runs: []Measurement{first, second, third}}, nil, []Label{Throttled}},
		"through the smallBlock cache":   {JobResult{Job: log, Runs: []Measurement{did(1), did(1), did(1)}}, nil, []Label{Cached}},
		"a run is missing":               {JobResult{Runs: []Measurement{did(1), did(1)}}, nil, []Label{Partial, Quick}},
		"short runs":                     {JobResult{Runs: []Measurement{did(1), did(1), did(1)}}, func(p *Profile) { p.Runtime = time.Second }, []Label{Quick}},
		"too few runs":                   {JobResult{Runs: []Measurement{did(1)}}, func(p *Profile) { p.Repetitions = 1 }, []Label{Quick}},
	} {
		p := threeJobs(3)
		if c.change != nil {
			c.change(&p)
		}
		if c.result.label(p); !slices.Equal(c.result.Labels, c.want) {
			t.Errorf("%s: labelled %v, want %v", name, c.result.Labels, c.want)
		}
	}
}

func TestMeasurementIsHeldAgainstTheKernels(t *testing.T) {
	file, device := &Place{Path: "f", File: true}, &Place{Path: "d"}
	direct, sync := Spec{Job: Job{}}, Spec{Job: Job{Sync: true}}
	for name, c := range map[string]struct {
		place *Place
		spec  Spec
		moved lvm.Bytes
		want  string
	}{
		"the same":                      {device, direct, lvm.GiB, ""},
		"less than 1 % apart":           {device, direct, lvm.GiB - 10*lvm.MiB, ""},
		"too little":                    {device, direct, lvm.GiB - 11*lvm.MiB, "the rest was memory"},
		"too much":                      {device, direct, lvm.GiB + 11*lvm.MiB, "something else uses it"},
		"a file system writes a little": {file, direct, lvm.GiB + 11*lvm.MiB, ""},
		"a file system writes a lot":    {file, direct, lvm.GiB + 20*lvm.MiB, "something else uses it"},
		"a log, with its journal":       {file, sync, 3 * lvm.GiB, ""},
		"a log that stayed in memory":   {file, sync, lvm.MiB, "the rest was memory"},
	} {
		err := honest(c.place, c.spec, Measurement{All: lvm.GiB, Elapsed: time.Second}, c.moved)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestPlanThatMeasuresNothingIsRefused(t *testing.T) {
	writes := threeJobs(1)
	writes.Jobs = writes.Jobs[2:]
	for want, p := range map[string]Plan{
		"expected at least one of each":                    {Profile: threeJobs(1)},
		"0 repetitions of 3 jobs in 1 places":              {Profile: threeJobs(0), Places: []*Place{{}}},
		"every job of profile p writes, and /dev/x is not": {Profile: writes, Places: []*Place{{Path: "/dev/x", ReadOnly: "it is mounted"}}},
	} {
		if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
