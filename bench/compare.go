package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ErrIncomparable says that two reports are of different things.
var ErrIncomparable = errors.New("not comparable")

// Verdict is what a comparison says of a figure.
type Verdict string

// The verdicts there are.
const (
	Better   Verdict = "better"
	Worse    Verdict = "worse"
	NoChange Verdict = "no change seen"
	// Unclear is a figure that fewer than three repetitions of one report have: there were no more, or too few operations for that percentile.
	Unclear Verdict = "too little to tell"
)

// perSecond is the Change.Unit of throughput.
const perSecond = "per second"

// Throughput is the Change.Figure that every job has.
const Throughput = "throughput"

// Comparison holds a report against an earlier one.
type Comparison struct {
	Changes []Change `json:"changes"`
	// Confidence is that of each interval. It is chosen so that of a hundred changes that are called, five may be noise, and that where nothing
	// changed, ninety-five comparisons of a hundred call none: of forty figures of the same disk, two would otherwise seem to have changed.
	Confidence float64 `json:"confidence"`
	// Notes are what whoever reads the verdicts must know: doubts about either report, and what was not compared.
	Notes []string `json:"notes"`
}

// Change is one figure of one job. Ratio is B over A, with its interval, nil where the verdict is Unclear.
type Change struct {
	Where   string  `json:"where"`
	Job     string  `json:"job"`
	Figure  string  `json:"figure"` // throughput, p50, p99, p99.9, cpu
	Unit    string  `json:"unit"`   // per second, or seconds
	A       float64 `json:"a"`      // geometric mean of the repetitions
	B       float64 `json:"b"`
	Ratio   *Range  `json:"ratio"`
	Verdict Verdict `json:"verdict"`
}

// Range is an Estimate with bounds.
type Range struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// figure is what is compared of a job: a value for each repetition.
type figure struct {
	name, unit string
	more       bool // is better
	of         func(JobResult) []float64
}

func figures() []figure {
	latency := func(percent float64) func(JobResult) []float64 {
		return func(j JobResult) []float64 { return j.percentiles(percent) }
	}
	return []figure{
		{Throughput, perSecond, true, JobResult.Throughput},
		{"p50", "seconds", false, latency(50)},
		{"p99", "seconds", false, latency(99)},
		{"p99.9", "seconds", false, latency(99.9)},
		{"cpu", "seconds", false, JobResult.cpuPerIO},
	}
}

// cpuPerIO is that of each run, in seconds.
func (r JobResult) cpuPerIO() []float64 {
	var all []float64
	for _, m := range r.Runs {
		if cpu := (JobResult{Job: r.Job, Runs: []Measurement{m}}).CPUPerIO(); cpu > 0 {
			all = append(all, cpu.Seconds())
		}
	}
	return all
}

// pair is one job of both reports.
type pair struct {
	where string
	a, b  JobResult
}

// Compare says what changed from a to b. The error is ErrIncomparable where they measured different things. The single stages of two reports are
// compared however they are named, others by name.
func Compare(a, b Report) (Comparison, error) {
	if err := alike(a, b); err != nil {
		return Comparison{}, err
	}
	pairs, notes := match(a, b)
	if len(pairs) == 0 {
		return Comparison{}, fmt.Errorf("no job was measured in the same place in both (%s): %w", strings.Join(notes, "; "), ErrIncomparable)
	}
	samples := sample(pairs)
	c := Comparison{Notes: append(differences(a, b), notes...), Confidence: confidence(samples)}
	for _, s := range samples {
		c.Changes = append(c.Changes, s.judge(c.Confidence))
	}
	c.Notes = append(c.Notes, doubtsOf("A", a)...)
	c.Notes = append(c.Notes, doubtsOf("B", b)...)
	return c, nil
}

// samples are a figure's values in both reports, one for each repetition.
type samples struct {
	Change
	figure
	a, b []float64
}

// sample lists the figures that either has.
func sample(pairs []pair) (all []samples) {
	for _, p := range pairs {
		for _, f := range figures() {
			s := samples{Change{Where: p.where, Job: p.a.Job.Name, Figure: f.name, Unit: f.unit}, f, f.of(p.a), f.of(p.b)}
			s.A, s.B = average(s.a), average(s.b)
			if len(s.a)+len(s.b) > 0 {
				all = append(all, s)
			}
		}
	}
	return all
}

func (s samples) enough() bool { return min(len(s.a), len(s.b)) >= fewRepetitions }

// grain is how closely anything is measured (Histogram). Repetitions that agree to the last digit do not prove a smaller change.
const grain = 0.01

// chance is that of so much of a difference, or more, where nothing changed.
func (s samples) chance() float64 {
	difference, deviation, freedom, ok := welch(s.b, s.a)
	beyond := math.Abs(difference) - math.Log1p(grain)
	switch {
	case !ok || beyond <= 0:
		return 1
	case deviation == 0:
		return 0
	}
	return 1 - within(beyond/deviation, freedom)
}

// confidence is that of the intervals by Benjamini and Hochberg's procedure (1995), with the intervals that belong to it (Benjamini and
// Yekutieli, 2005): the more figures changed for certain, the narrower may all be.
func confidence(all []samples) float64 {
	var chances []float64
	for _, s := range all {
		if s.enough() {
			chances = append(chances, s.chance())
		}
	}
	slices.Sort(chances)
	called := 1
	for i, chance := range chances {
		if chance <= (1-usual)*float64(i+1)/float64(len(chances)) {
			called = i + 1
		}
	}
	return 1 - (1-usual)*float64(called)/float64(max(len(chances), 1))
}

// judge gives a change its interval and verdict.
func (s samples) judge(confidence float64) Change {
	c := s.Change
	if c.Verdict = Unclear; !s.enough() {
		return c
	}
	e := ratio(s.b, s.a, confidence)
	e.Low, e.High = e.Low/(1+grain), e.High*(1+grain)
	c.Ratio = &Range{e.Value, e.Low, e.High}
	switch {
	case e.Low <= 1 && e.High >= 1:
		c.Verdict = NoChange
	case (e.Value > 1) == s.more:
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
	return c
}

// average is the geometric mean; 0 of nothing.
func average(values []float64) float64 {
	mean, _, n := logarithms(values)
	if n == 0 {
		return 0
	}
	return math.Exp(mean)
}

// Loss is by which part of it a figure that is Worse got worse: 0.1 is a throughput of nine tenths, or a latency of eleven; 0 of others.
func (c Change) Loss() float64 {
	if c.Verdict != Worse {
		return 0
	}
	return math.Abs(c.Ratio.Value - 1)
}

// alike says why two reports cannot be compared.
func alike(a, b Report) error {
	differ := func(what string, a, b any) error {
		return fmt.Errorf("%s: %v in A and %v in B: %w", what, a, b, ErrIncomparable)
	}
	p, q := a.Profile, b.Profile
	switch {
	case a.Kind != b.Kind:
		return differ("kind", a.Kind, b.Kind)
	case p.Size != q.Size:
		return differ("size", p.Size, q.Size)
	case p.Runtime != q.Runtime:
		return differ("runtime", p.Runtime, q.Runtime)
	case p.WarmUp != q.WarmUp:
		return differ("warm-up", p.WarmUp, q.WarmUp)
	case p.Steady != q.Steady:
		return differ("steady", p.Steady, q.Steady)
	}
	for _, j := range a.jobs() {
		i := slices.IndexFunc(b.jobs(), func(other Job) bool { return other.Name == j.Name })
		if i >= 0 && b.jobs()[i] != j {
			return differ("job "+j.Name, j, b.jobs()[i])
		}
	}
	return nil
}

// match finds the jobs that both have, and says which only one has.
func match(a, b Report) (pairs []pair, notes []string) {
	single := len(a.Stages) == 1 && len(b.Stages) == 1
	for _, s := range a.Stages {
		other := b.stage(s.Name)
		if single {
			other = &b.Stages[0]
		}
		if other == nil {
			notes = append(notes, s.Name+" is in A alone")
			continue
		}
		for _, j := range s.Jobs {
			if k := other.job(j.Job.Name); k != nil {
				pairs = append(pairs, pair{s.Name, j, *k})
			} else {
				notes = append(notes, fmt.Sprintf("%s in %s is in A alone", j.Job.Name, s.Name))
			}
		}
		for _, k := range other.Jobs {
			if s.job(k.Job.Name) == nil {
				notes = append(notes, fmt.Sprintf("%s in %s is in B alone", k.Job.Name, other.Name))
			}
		}
	}
	for _, s := range b.Stages {
		if !single && a.stage(s.Name) == nil {
			notes = append(notes, s.Name+" is in B alone")
		}
	}
	return pairs, notes
}

// differences are those of what was measured with, and where.
func differences(a, b Report) []string {
	notes := []string{}
	for _, d := range []struct{ what, a, b string }{
		{"host", a.Host.Name, b.Host.Name}, {"kernel", a.Host.Kernel, b.Host.Kernel}, {"engine", a.Engine, b.Engine},
		{"disk", a.Stages[0].Device, b.Stages[0].Device},
	} {
		if d.a != d.b {
			notes = append(notes, fmt.Sprintf("The %s is another one: %s in A, %s in B", d.what, cmp.Or(d.a, "unknown"), cmp.Or(d.b, "unknown")))
		}
	}
	return notes
}

// doubtsOf are a report's labels, with the jobs that they hold for.
func doubtsOf(name string, r Report) []string {
	d := r.doubts()
	var notes []string
	for _, l := range d.all {
		notes = append(notes, fmt.Sprintf("All of %s is %s", name, l.Words()))
	}
	for _, l := range d.some {
		var jobs []string
		for _, s := range r.Stages {
			for _, j := range s.Jobs {
				if !slices.Contains(j.Labels, l) {
					continue
				}
				where := j.Job.Name
				if len(r.Stages) > 1 {
					where += " in " + s.Name
				}
				jobs = append(jobs, where)
			}
		}
		notes = append(notes, fmt.Sprintf("In %s, %s is %s", name, strings.Join(jobs, ", "), l.Words()))
	}
	return notes
}
