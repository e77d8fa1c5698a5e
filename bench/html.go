package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/loam-storage/loam/lvm"
)

//go:embed report.html.tmpl
var pageText string

// page is what the template shows.
type page struct {
	Title            string
	Head             []string
	Verdicts, Doubts []string
	CostsOf          string
	Costs            []panel // side by side; none for a single stage
	Latencies, Times []panel
	Key              template.HTML // of the marks in Latencies
	Figures          []Table
	Program, When    string
}

// panel is a small plot with an axis of its own: a title, and a row for each job or stage.
type panel struct {
	Title, Note string
	Rows        []plotted
	Axis        template.HTML
}

type plotted struct {
	Name, Value, Detail string
	Plot                template.HTML
}

// EncodeHTML writes a report as one page that needs nothing else: no script, no font, no picture from anywhere.
func EncodeHTML(w io.Writer, r Report) error {
	t, err := template.New("report").Parse(pageText)
	if err != nil {
		return err
	}
	ids := 0
	return t.Execute(w, page{
		Title: r.title(), Head: r.Head(), Verdicts: r.verdicts(), Doubts: r.doubtful(), Figures: r.Tables(),
		CostsOf: r.costsOf(), Costs: r.costs(&ids), Latencies: r.latencies(&ids), Times: r.times(&ids), Key: key(),
		Program: r.Program, When: r.Ended.UTC().Format(time.RFC3339),
	})
}

func (r Report) title() string {
	switch r.Kind {
	case OfLayers:
		return "What each layer costs"
	case OfNeighbours:
		return "What noisy neighbours cost"
	case OfClaims:
		return "What claims get"
	default:
		return "What " + r.Stages[0].Name + " gives"
	}
}

func (r Report) costsOf() string {
	if r.Kind == OfNeighbours {
		return "Latency's p99"
	}
	return "Throughput"
}

// key draws the marks of the percentiles with their names.
func key() template.HTML {
	var d drawing
	d.WriteString(`<svg height="20" class="axis" aria-hidden="true">`)
	for i, p := range percentiles {
		x := 3 + 25*float64(i)
		d.mark(i, x, 10)
		fmt.Fprintf(&d, `<text x="%g%%" dx="10" y="14">%s</text>`, x, strings.ToLower(p.name))
	}
	return d.end()
}

// latencies are one panel with all jobs of a single stage, or a panel for each job. All have the same axis.
func (r Report) latencies(ids *int) []panel {
	shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			h := j.Latency()
			for _, p := range percentiles {
				if known(h, p.percent) {
					shortest, longest = min(shortest, h.Percentile(p.percent)), max(longest, h.Percentile(p.percent))
				}
			}
		}
	}
	if longest == 0 {
		return nil
	}
	a := latencyAxis(shortest, longest)
	return r.panels(a, func(p *panel, name string, _ Stage, j JobResult) {
		h := j.Latency()
		value := "p50 " + percentile(h, 50) + ", p99 " + percentile(h, 99)
		p.Rows = append(p.Rows, plotted{Name: name, Value: value, Plot: plotLatency(ids, a, name, h)})
	})
}

// panels makes the panels of latencies, with rows by add.
func (r Report) panels(a axis, add func(p *panel, name string, s Stage, j JobResult)) []panel {
	if len(r.Stages) == 1 {
		p := panel{Axis: labels(a)}
		for _, j := range r.Stages[0].Jobs {
			add(&p, j.Job.Name+": "+j.Job.String(), r.Stages[0], j)
		}
		return []panel{p}
	}
	var all []panel
	for _, job := range r.jobs() {
		p := panel{Title: job.Name, Note: job.String(), Axis: labels(a)}
		r.each(job, func(s Stage, j JobResult) { add(&p, s.Name, s, j) })
		all = append(all, p)
	}
	return all
}

// each calls f with a job's result in each stage that has one.
func (r Report) each(job Job, f func(Stage, JobResult)) {
	for _, s := range r.Stages {
		if j := s.job(job.Name); j != nil {
			f(s, *j)
		}
	}
}

// bulk is the block size from which throughput is told in MB/s rather than in operations.
const bulk = 64 * lvm.KiB

// amount is a rate of operations in the unit that a job is told in.
func (j Job) amount(perSecond float64) float64 {
	if j.BlockSize >= bulk {
		return perSecond * float64(j.BlockSize) / 1e6
	}
	return perSecond
}

func (j Job) unit() string {
	switch {
	case j.BlockSize >= bulk:
		return "MB/s"
	case j.Sync:
		return "fdatasyncs/s"
	}
	return "IOPS"
}

// amount is what panels of costs are of: throughput, and beside noisy neighbours the p99 of the latency in milliseconds.
func (r Report) amount(j JobResult) (e Estimate, unit string) {
	if r.Kind == OfNeighbours {
		e, unit = estimate(j.percentiles(99)), "ms"
		return Estimate{1e3 * e.Value, 1e3 * e.Low, 1e3 * e.High}, unit
	}
	e = j.Rate()
	return Estimate{j.Job.amount(e.Value), j.Job.amount(e.Low), j.Job.amount(e.High)}, j.Job.unit()
}

// costs are the stages of each job side by side.
func (r Report) costs(ids *int) []panel {
	if len(r.Stages) < 2 {
		return nil
	}
	var all []panel
	for _, job := range r.jobs() {
		most := 0.0
		r.each(job, func(_ Stage, j JobResult) {
			e, _ := r.amount(j)
			most = max(most, e.Value, min(e.High, 1.3*e.Value)) // a wide interval must not hide the bars
		})
		a := amountAxis(most)
		p := panel{Title: job.Name, Note: job.String(), Axis: labels(a)}
		r.each(job, func(s Stage, j JobResult) { p.Rows = append(p.Rows, r.bar(ids, a, s, j)) })
		all = append(all, p)
	}
	return all
}

func (r Report) bar(ids *int, a axis, s Stage, j JobResult) plotted {
	e, unit := r.amount(j)
	row := plotted{Name: s.Name, Value: three(e.Value) + " " + unit}
	said, baseline := s.Name+": "+row.Value, 0.0
	if ratio, ok := r.Cost(s, j.Job.Name); ok {
		of, _ := r.amount(*r.stage(s.Baseline).job(j.Job.Name))
		baseline = of.Value
		row.Detail = ratio.String() + " × " + s.Baseline
		said += ", " + row.Detail
	}
	row.Plot = plotAmount(ids, a, said, e, baseline)
	return row
}

// times are the seconds of each job, in every stage on one scale.
func (r Report) times(ids *int) []panel {
	var all []panel
	for _, job := range r.jobs() {
		most, p := 0.0, panel{Title: job.Name}
		r.each(job, func(_ Stage, j JobResult) {
			for _, seconds := range j.seconds() {
				most = max(most, slices.Max(append(seconds, 0)))
			}
		})
		if most == 0 {
			continue
		}
		scale := "0 to " + three(most) + " " + job.unit()
		if len(r.Stages) > 1 {
			p.Note = "Each " + scale
		}
		r.each(job, func(s Stage, j JobResult) {
			value, name := three(job.amount(j.Rate().Value))+" "+job.unit(), s.Name
			if len(r.Stages) == 1 {
				value, name = "average "+value, scale
			}
			p.Rows = append(p.Rows, plotted{Name: name, Value: value, Plot: plotTime(ids, job.Name+" in "+s.Name+", "+value, j.seconds(), most)})
		})
		all = append(all, p)
	}
	return all
}

// seconds are the throughput in each second of each repetition. A last second of which less than half was measured is left out.
func (r JobResult) seconds() [][]float64 {
	var all [][]float64
	for _, m := range r.Runs {
		var one []float64
		for i, s := range m.Series {
			part := min(m.Elapsed.Seconds()-float64(i), 1)
			if part < 0.5 && i > 0 {
				break
			}
			one = append(one, r.Job.amount(float64(s.Operations)/max(part, 0.01)))
		}
		all = append(all, one)
	}
	return all
}
