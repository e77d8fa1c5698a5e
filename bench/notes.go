package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// words say what each label means for whoever reads the figures.
var words = []struct {
	label Label
	means string
}{
	{Partial, "it was interrupted or failed, and these are the figures until then"},
	{Quick, "too short, or too few repetitions, to compare with others"},
	{NotSteady, "five repetitions in a row never agreed as SNIA's test of a steady state wants"},
	{Throttled, "throughput fell during a run, as a hot or throttled disk's does"},
	{CPUSaturated, "the processors were busy, so they were measured and not the disk"},
	{Unchecked, "the kernel counts nothing for the place, so nobody checked what really moved"},
	{Cached, "writes go through the page cache on purpose, and fdatasync waits for the disk"},
}

// Words are the label with what it means.
func (l Label) Words() string {
	for _, w := range words {
		if w.label == l {
			return string(l) + ": " + w.means
		}
	}
	return string(l)
}

// doubts are the labels of a report: those that hold for all of it, and those of single jobs, which are marked.
type doubts struct{ all, some []Label }

func (r Report) doubts() doubts {
	d := doubts{all: slices.Clone(r.Labels)}
	count, jobs := map[Label]int{}, 0
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			jobs++
			for _, l := range j.Labels {
				count[l]++
			}
		}
	}
	for _, w := range words {
		switch n := count[w.label]; {
		case n == 0 || slices.Contains(d.all, w.label):
		case n == jobs:
			d.all = append(d.all, w.label)
		default:
			d.some = append(d.some, w.label)
		}
	}
	return d
}

// mark is what stands behind a job's name: " [a]", or nothing.
func (d doubts) mark(j JobResult) string {
	var marks []string
	for i, l := range d.some {
		if slices.Contains(j.Labels, l) {
			marks = append(marks, letter(i))
		}
	}
	if marks == nil {
		return ""
	}
	return " [" + strings.Join(marks, ",") + "]"
}

func letter(i int) string { return string(rune('a' + i)) }

// Head says what was measured, where and how: a line each.
func (r Report) Head() []string {
	p := r.Profile
	how := fmt.Sprintf("Profile %s: %s of %v for each job, after %v of warm-up, in %v; %s", p.Name, plural(p.Repetitions, "repetition"), p.Runtime,
		p.WarmUp, p.Size, r.Engine)
	if p.Steady {
		how += fmt.Sprintf("; until it is steady, for at most %s", plural(p.MaxRounds, "round"))
	}
	head := []string{fmt.Sprintf("Host %s, Linux %s, %s; %s", r.Host.Name, r.Host.Kernel, plural(r.Host.CPUs, "processor"),
		r.Started.UTC().Format("2006-01-02 15:04 UTC")), how}
	for _, s := range r.Stages {
		switch {
		case len(r.Stages) == 1 && s.Device == "":
			head = append(head, s.Name)
		case s.Device != "" && (len(r.Stages) == 1 || s.Device != r.Stages[0].Device):
			head = append(head, s.Name+": "+s.Device)
		}
	}
	if len(r.Stages) > 1 && r.Stages[0].Device != "" {
		head = append(head, "Disk "+r.Stages[0].Device)
	}
	return head
}

// Notes are what belongs under the figures: what ratios are of, the doubts about all, what was left out and failed, and the verdict for etcd.
func (r Report) Notes() []string { return slices.Concat(r.against(), r.doubtful(), r.verdicts()) }

func (r Report) doubtful() []string {
	d := r.doubts()
	var notes []string
	for i, l := range d.some {
		notes = append(notes, "["+letter(i)+"] "+l.Words())
	}
	for _, l := range d.all {
		notes = append(notes, "All of it is "+l.Words())
	}
	for _, s := range r.Stages {
		switch {
		case s.Skipped != "" && len(s.Jobs) == 0:
			notes = append(notes, fmt.Sprintf("%s was not measured: %s", s.Name, s.Skipped))
		case s.Skipped != "":
			notes = append(notes, fmt.Sprintf("%s was not written: %s", s.Name, s.Skipped))
		}
		for _, j := range s.Jobs {
			if j.Error != "" {
				notes = append(notes, fmt.Sprintf("%s in %s ended early: %s", j.Job.Name, s.Name, j.Error))
			}
		}
	}
	return notes
}

// What etcd wants of a disk: the p99 of its writes to the log, which are of some 2,300 bytes (etcd.io, "Hardware recommendations").
const (
	etcdBlock = 2300
	etcdLimit = 10 * time.Millisecond
)

func (r Report) verdicts() []string {
	var good, slow []string
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			if !j.Job.Sync || j.Job.BlockSize != etcdBlock || j.Latency().Count() == 0 {
				continue
			}
			p99 := j.Latency().Percentile(99)
			if said := s.Name + " " + short(p99); p99 > etcdLimit {
				slow = append(slow, said)
			} else {
				good = append(good, said)
			}
		}
	}
	var all []string
	limit := short(etcdLimit)
	if good != nil {
		all = append(all, fmt.Sprintf("Good enough for etcd, with a p99 of fdatasync of at most %s: %s", limit, strings.Join(good, "; ")))
	}
	if slow != nil {
		all = append(all, fmt.Sprintf("Too slow for etcd, with a p99 of fdatasync of more than %s: %s", limit, strings.Join(slow, "; ")))
	}
	return all
}

// against says which stage each one's cost is a ratio of, where it is not always the same.
func (r Report) against() []string {
	var pairs, baselines []string
	for _, s := range r.Stages {
		if s.Baseline == "" {
			continue
		}
		pairs = append(pairs, s.Name+" to "+s.Baseline)
		if !slices.Contains(baselines, s.Baseline) {
			baselines = append(baselines, s.Baseline)
		}
	}
	switch len(baselines) {
	case 0:
		return nil
	case 1:
		return []string{r.measureOfCost() + " is the ratio to " + baselines[0] + ", with its 95 % confidence interval"}
	}
	return []string{r.measureOfCost() + " is the ratio, with its 95 % confidence interval, of " + strings.Join(pairs, "; ")}
}
