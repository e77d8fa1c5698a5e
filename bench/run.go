package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Plan is a measurement of one or several places.
type Plan struct {
	Profile Profile
	Engine  Engine
	Places  []*Place
	Seed    int64          // of the random orders, the same in every place
	Tell    func(Progress) // before each run of a job; nil: nobody
}

// Progress is how far a measurement is.
type Progress struct {
	Place, Job  string
	Done, Total int           // runs; Total grows when a job is not steady
	Left        time.Duration // until the end, about
}

// Over is told when there will be no more progress.
var Over Progress

// What makes figures too quick to be compared.
const (
	fewRepetitions = 3
	shortRuntime   = 10 * time.Second
)

// Run measures every job in every place, again and again, each time in the opposite order, so that what changes with time (a disk that
// fills, warms up or is throttled) does not hit the same ones. When ctx ends, or jobs fail, it returns what there is, labelled Partial,
// with the error.
func Run(ctx context.Context, p Plan) ([]Stage, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	r := newRunner(p)
	defer r.over()
	for round := range p.Profile.Repetitions {
		r.round(ctx, round, func(*JobResult) bool { return true })
	}
	for round := p.Profile.Repetitions; p.Profile.Steady && round < p.Profile.MaxRounds; round++ {
		if !r.round(ctx, round, func(j *JobResult) bool { return !steady(j.Throughput()) }) {
			break
		}
	}
	for i := range r.stages {
		for j := range r.stages[i].Jobs {
			r.stages[i].Jobs[j].label(p.Profile)
		}
	}
	return r.stages, errors.Join(append(r.failed, ctx.Err())...)
}

func (p Plan) check() error {
	if p.Profile.Repetitions < 1 || len(p.Profile.Jobs) == 0 || len(p.Places) == 0 {
		return fmt.Errorf("profile %s: %d repetitions of %d jobs in %d places: expected at least one of each", p.Profile.Name, p.Profile.Repetitions,
			len(p.Profile.Jobs), len(p.Places))
	}
	for _, place := range p.Places {
		if place.ReadOnly == "" || slices.ContainsFunc(p.Profile.Jobs, func(j Job) bool { return !j.Writes() }) {
			continue
		}
		return unfit("every job of profile %s writes, and %s is not written: %s", p.Profile.Name, place.Path, place.ReadOnly)
	}
	return nil
}

type runner struct {
	Plan
	stages []Stage
	total  int // runs, as far as they are known
	done   int
	began  time.Time
	failed []error
}

func newRunner(p Plan) *runner {
	r := &runner{Plan: p, began: time.Now()}
	for _, place := range p.Places {
		stage := Stage{Name: place.Name, Device: place.Device, Baseline: place.Baseline}
		for _, j := range p.Profile.Jobs {
			if why := place.Refusal(j); why != "" {
				stage.Skipped = why
				continue
			}
			stage.Jobs = append(stage.Jobs, JobResult{Job: j})
		}
		r.stages = append(r.stages, stage)
		r.total += len(stage.Jobs) * p.Profile.Repetitions
	}
	return r
}

// round runs each job once that wants it, and says whether one did. One that failed is not tried again.
func (r *runner) round(ctx context.Context, round int, wants func(*JobResult) bool) (any bool) {
	type turn struct {
		place  *Place
		result *JobResult
	}
	var turns []turn
	for i, place := range r.Places {
		for j := range r.stages[i].Jobs {
			if result := &r.stages[i].Jobs[j]; result.Error == "" && wants(result) {
				turns = append(turns, turn{place, result})
			}
		}
	}
	if round%2 == 1 {
		slices.Reverse(turns)
	}
	r.total = max(r.total, r.done+len(turns))
	for _, t := range turns {
		if ctx.Err() != nil {
			return false
		}
		r.tell(t.place, t.result.Job)
		r.once(ctx, t.place, t.result, round)
		r.done++
	}
	return len(turns) > 0
}

func (r *runner) tell(place *Place, j Job) {
	if r.Tell != nil {
		each := r.Profile.WarmUp + r.Profile.Runtime
		if r.done > 0 { // engines take a while to begin
			each = time.Since(r.began) / time.Duration(r.done)
		}
		r.Tell(Progress{Place: place.Name, Job: j.Name, Done: r.done, Total: r.total, Left: each * time.Duration(r.total-r.done)})
	}
}

func (r *runner) over() {
	if r.Tell != nil {
		r.Tell(Over)
	}
}

// once runs a job once and keeps what it gave.
func (r *runner) once(ctx context.Context, place *Place, result *JobResult, round int) {
	m, err := r.measured(ctx, place, Spec{
		Job: result.Job, Path: place.Path, Size: place.Size, Offset: place.Offset, WarmUp: r.Profile.WarmUp, Runtime: r.Profile.Runtime,
		Seed: r.Seed + int64(round), Once: place.Once,
	})
	if m.Elapsed > 0 {
		result.Runs = append(result.Runs, m)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		result.Error = "interrupted"
	default:
		result.Error = err.Error()
		r.failed = append(r.failed, fmt.Errorf("%s in %s: %w", result.Job.Name, place.Name, err))
	}
}

func (r *runner) measured(ctx context.Context, place *Place, s Spec) (m Measurement, err error) {
	if s.Once {
		s.WarmUp = 0 // it would be the first time, and not measured
	}
	if place.Before != nil {
		after, failed := place.Before(ctx)
		if failed != nil {
			return Measurement{}, failed
		}
		defer func() { err = errors.Join(err, after()) }()
	}
	engine := r.Engine
	if s.Once && s.Job.random() && place.Chunk > s.Job.BlockSize {
		s.Apart, engine = place.Chunk, Direct{}
	}
	return measure(ctx, engine, place, s)
}

// label adds the doubts that the runs raise.
func (r *JobResult) label(p Profile) {
	add := func(l Label, holds bool) {
		if holds && !slices.Contains(r.Labels, l) {
			r.Labels = append(r.Labels, l)
		}
	}
	add(Partial, r.Error != "" || len(r.Runs) < p.Repetitions)
	add(Quick, p.Runtime < shortRuntime || len(r.Runs) < fewRepetitions)
	add(NotSteady, p.Steady && !steady(r.Throughput()))
	add(Cached, r.Job.Sync)
	add(Throttled, throttled(r.series()))
	for _, m := range r.Runs {
		add(Throttled, throttled(m.Series))
		add(CPUSaturated, m.Busy > saturated || m.alone() > saturated)
		add(Unchecked, m.Unchecked)
	}
}

// series is that of all runs, without their last seconds, which may be parts of one.
func (r *JobResult) series() (all []Second) {
	for _, m := range r.Runs {
		all = append(all, m.Series[:max(len(m.Series)-1, 0)]...)
	}
	return append(all, Second{}) // throttled leaves the last one out
}

// alone is the part of one processor's time that the engine took. It has one thread.
func (m Measurement) alone() float64 {
	if m.Elapsed <= 0 {
		return 0
	}
	return (m.CPU.User + m.CPU.System).Seconds() / m.Elapsed.Seconds()
}
