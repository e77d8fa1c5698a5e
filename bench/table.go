package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Table is figures as people read them.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Left    []string // the columns of words, which are aligned to the left
}

// The columns of the figures.
const (
	columnIOPS   = "IOPS"
	columnMB     = "MB/s"
	columnSpread = "SPREAD"
	columnCPU    = "CPU/IO"
)

// percentiles are those that are shown.
var percentiles = []struct {
	name    string
	percent float64
}{{"P50", 50}, {"P99", 99}, {"P99.9", 99.9}, {"P99.99", 99.99}}

// Tables are one with a line for each job where there is a single stage, else one for each job with a line for each stage.
func (r Report) Tables() []Table {
	doubts := r.doubts()
	if len(r.Stages) == 1 {
		t := Table{Columns: r.columns("JOB"), Left: []string{"JOB"}}
		for _, j := range r.Stages[0].Jobs {
			t.Rows = append(t.Rows, r.rows(j.Job.Name+doubts.mark(j), r.Stages[0], j)...)
		}
		return []Table{t}
	}
	var all []Table
	for _, job := range r.jobs() {
		t := Table{Title: job.Name + ": " + job.String(), Columns: r.columns("WHERE"), Left: []string{"WHERE"}}
		for _, s := range r.Stages {
			if j := s.job(job.Name); j != nil {
				t.Rows = append(t.Rows, r.rows(s.Name+doubts.mark(*j), s, *j)...)
			}
		}
		all = append(all, t)
	}
	return all
}

// jobs are those of all stages, in the order in which they first come.
func (r Report) jobs() []Job {
	var all []Job
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			if !slices.ContainsFunc(all, func(known Job) bool { return known.Name == j.Job.Name }) {
				all = append(all, j.Job)
			}
		}
	}
	return all
}

func (r Report) columns(first string) []string {
	all := []string{first, columnIOPS, columnMB, columnSpread}
	for _, p := range percentiles {
		all = append(all, p.name)
	}
	all = append(all, columnCPU)
	if r.relative() {
		all = append(all, r.measureOfCost())
	}
	return all
}

// relative says whether there are stages that are held against another one.
func (r Report) relative() bool {
	return slices.ContainsFunc(r.Stages, func(s Stage) bool { return s.Baseline != "" })
}

// measureOfCost names what Cost is a ratio of: noisy neighbours cost a victim time, and layers cost throughput.
func (r Report) measureOfCost() string {
	if r.Kind == OfNeighbours {
		return "P99 × ALONE"
	}
	return "× BASELINE"
}

// Cost is what a job has in a stage as a ratio of the same in its baseline: throughput, and beside noisy neighbours the p99 of the latency.
// It is false where there is nothing to hold it against.
func (r Report) Cost(s Stage, job string) (Estimate, bool) {
	baseline := r.stage(s.Baseline)
	if s.Baseline == "" || baseline == nil {
		return Estimate{}, false
	}
	a, b := s.job(job), baseline.job(job)
	if a == nil || b == nil || len(a.Runs) == 0 || len(b.Runs) == 0 {
		return Estimate{}, false
	}
	if r.Kind == OfNeighbours {
		return ratio(a.percentiles(99), b.percentiles(99), usual), true
	}
	return Ratio(*a, *b), true
}

// rows are a job's line, and for a mixed job also those of its reads and its writes.
func (r Report) rows(name string, s Stage, j JobResult) [][]string {
	all := [][]string{r.row(name, s, j)}
	if j.Job.Pattern == RandRW {
		all = append(all, r.row("  reads", Stage{}, j.only(RandRead)), r.row("  writes", Stage{}, j.only(RandWrite)))
	}
	return all
}

// only is the reads or the writes of a mixed job.
func (r JobResult) only(pattern Pattern) JobResult {
	part := JobResult{Job: r.Job}
	part.Job.Pattern = pattern
	for _, m := range r.Runs {
		if pattern == RandRead {
			m.Write = Direction{}
		} else {
			m.Read = Direction{}
		}
		m.CPU = CPU{} // is that of both
		part.Runs = append(part.Runs, m)
	}
	return part
}

func (r Report) row(name string, s Stage, j JobResult) []string {
	cells := []string{name, "-", "-", "-"}
	latency := j.Latency()
	if len(j.Runs) > 0 {
		cells[1], cells[2] = three(j.Rate().Value), three(j.megabytes())
	}
	if spread, ok := j.Spread(); ok {
		cells[3] = percent(spread)
	}
	for _, p := range percentiles {
		cells = append(cells, percentile(latency, p.percent))
	}
	cells = append(cells, "-")
	if cpu := j.CPUPerIO(); cpu > 0 {
		cells[len(cells)-1] = short(cpu)
	}
	if !r.relative() {
		return cells
	}
	cost := "-"
	if ratio, ok := r.Cost(s, j.Job.Name); ok {
		cost = ratio.String()
	}
	return append(cells, cost)
}

// percentile is "-" where fewer operations were measured than one is expected beyond it.
func percentile(h Histogram, percent float64) string {
	if !known(h, percent) {
		return "-"
	}
	return short(h.Percentile(percent))
}

func known(h Histogram, percent float64) bool {
	return float64(h.Count())*(100-percent) > 99.99 // 100, but for the rounding of 100 - 99.99
}

// megabytes is Rate in 10⁶ bytes that are read and written.
func (r JobResult) megabytes() float64 {
	bytes, operations := 0.0, int64(0)
	for _, m := range r.Runs {
		bytes, operations = bytes+float64(m.Read.Bytes+m.Write.Bytes), operations+m.operations(r.Job)
	}
	if operations == 0 {
		return 0
	}
	return r.Rate().Value * bytes / 1e6 / float64(operations)
}

// Spread is how far apart the repetitions' throughputs are, as a part of their average; false with fewer than two.
func (r JobResult) Spread() (float64, bool) {
	all := r.Throughput()
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	if len(all) < 2 || sum == 0 {
		return 0, false
	}
	return (slices.Max(all) - slices.Min(all)) / (sum / float64(len(all))), true
}

// CPUPerIO is the engine's processor time for one operation: what measuring costs, the kernel's part with it.
func (r JobResult) CPUPerIO() time.Duration {
	var spent time.Duration
	operations := int64(0)
	for _, m := range r.Runs {
		spent, operations = spent+m.CPU.User+m.CPU.System, operations+m.operations(r.Job)
	}
	if operations == 0 {
		return 0
	}
	return spent / time.Duration(operations)
}

// String says what a job does: "random reads of 4 KiB, 32 in flight".
func (j Job) String() string {
	what := map[Pattern]string{
		Read: "sequential reads", Write: "sequential writes", RandRead: "random reads", RandWrite: "random writes",
		RandRW: fmt.Sprintf("%d %% reads and %d %% writes at random,", j.ReadPercent, 100-j.ReadPercent),
	}[j.Pattern]
	size := j.BlockSize.String()
	if j.BlockSize%lvm.KiB != 0 {
		size = fmt.Sprintf("%d bytes", j.BlockSize)
	}
	if j.Sync {
		return fmt.Sprintf("fdatasync after each of the %s of %s", what, size)
	}
	return fmt.Sprintf("%s of %s, %d in flight", what, size, j.Depth)
}

// expendable are the columns to leave out where there is not room for all, the first one first.
var expendable = []string{"P99.9", columnSpread, columnCPU, columnMB}

// Fit leaves columns out until the table is at most as wide, with two spaces between columns, or until nothing is left that may go.
func (t Table) Fit(width int) Table {
	for _, name := range expendable {
		if t.width() <= width {
			break
		}
		if i := slices.Index(t.Columns, name); i >= 0 {
			t = t.without(i)
		}
	}
	return t
}

func (t Table) width() int {
	sum := -2
	for i, title := range t.Columns {
		widest := len([]rune(title))
		for _, row := range t.Rows {
			widest = max(widest, len([]rune(row[i])))
		}
		sum += widest + 2
	}
	return sum
}

func (t Table) without(column int) Table {
	left := Table{Title: t.Title, Left: t.Left, Columns: slices.Concat(t.Columns[:column], t.Columns[column+1:])}
	for _, row := range t.Rows {
		left.Rows = append(left.Rows, slices.Concat(row[:column], row[column+1:]))
	}
	return left
}
