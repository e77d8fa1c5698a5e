package bench

import (
	"fmt"
	"strings"
	"time"
)

// Tables are one for each place, with a line for each figure of each job.
func (c Comparison) Tables() []Table {
	var all []Table
	job := ""
	for _, change := range c.Changes {
		if len(all) == 0 || all[len(all)-1].Title != change.Where {
			all = append(all, Table{
				Title: change.Where, Columns: []string{"JOB", "FIGURE", "A", "B", "CHANGE", "VERDICT"}, Left: []string{"JOB", "FIGURE", "VERDICT"},
			})
			job = ""
		}
		name := change.Job
		if name == job {
			name = "" // said once
		}
		job = change.Job
		t := &all[len(all)-1]
		t.Rows = append(t.Rows, []string{name, change.Figure, change.amount(change.A), change.amount(change.B), change.percent(), string(change.Verdict)})
	}
	return all
}

// amount is a figure in its unit.
func (c Change) amount(v float64) string {
	switch {
	case v == 0:
		return "-"
	case c.Unit == perSecond:
		return three(v) + "/s"
	}
	return short(time.Duration(v * float64(time.Second)))
}

// percent is the change with its interval.
func (c Change) percent() string {
	if c.Ratio == nil {
		return "-"
	}
	return fmt.Sprintf("%+.1f %% (%+.1f to %+.1f)", 100*(c.Ratio.Value-1), 100*(c.Ratio.Low-1), 100*(c.Ratio.High-1))
}

// Summary counts the verdicts.
func (c Comparison) Summary() string {
	count := map[Verdict]int{}
	for _, change := range c.Changes {
		count[change.Verdict]++
	}
	var said []string
	for _, v := range []Verdict{Worse, Better, NoChange, Unclear} {
		if count[v] > 0 {
			said = append(said, fmt.Sprintf("%d %s", count[v], v))
		}
	}
	return plural(len(c.Changes), "figure") + ": " + strings.Join(said, ", ")
}
