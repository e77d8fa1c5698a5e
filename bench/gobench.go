package bench

import (
	"fmt"
	"io"
	"strings"
)

// EncodeGo writes each run as a line of Go's benchmark format (go.dev/design/14313-benchmark-format), for benchstat. The last part of a
// name would be taken for GOMAXPROCS where it is a number, so the number of processors always follows.
func EncodeGo(w io.Writer, r Report) error {
	var b strings.Builder
	for _, c := range [][2]string{
		{"loam", r.Program}, {"kind", string(r.Kind)}, {"host", r.Host.Name}, {"kernel", r.Host.Kernel}, {"engine", r.Engine}, {"profile", r.Profile.Name},
	} {
		fmt.Fprintf(&b, "%s: %s\n", c[0], strings.Join(strings.Fields(c[1]), " "))
	}
	b.WriteString("Unit IOPS better=higher\nUnit MB/s better=higher\n")
	for _, unit := range append(goUnits(), "CPU-ns") {
		fmt.Fprintf(&b, "Unit %s better=lower\n", unit)
	}
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			for _, m := range j.Runs {
				name := fmt.Sprintf("BenchmarkLoam/where=%s/job=%s-%d", goName(s.Name), goName(j.Job.Name), max(r.Host.CPUs, 1))
				b.WriteString(name + goLine(JobResult{Job: j.Job, Runs: []Measurement{m}}) + "\n")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func goUnits() []string {
	var all []string
	for _, p := range percentiles {
		all = append(all, strings.ToLower(p.name)+"-ns")
	}
	return all
}

// goName is a name with neither spaces nor slashes, which separate its parts.
func goName(s string) string {
	s = strings.Trim(strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == ',' || r == 0x7f {
			return '_'
		}
		return r
	}, s), "_")
	return strings.ReplaceAll(s, "__", "_")
}

func goLine(run JobResult) string {
	m := run.Runs[0]
	var b strings.Builder
	fmt.Fprintf(&b, " %d %.1f IOPS %.3f MB/s", m.operations(run.Job), m.PerSecond(run.Job), run.megabytes())
	latency := m.latency(run.Job)
	for i, unit := range goUnits() {
		if known(latency, percentiles[i].percent) {
			fmt.Fprintf(&b, " %d %s", latency.Percentile(percentiles[i].percent), unit)
		}
	}
	if cpu := run.CPUPerIO(); cpu > 0 {
		fmt.Fprintf(&b, " %d CPU-ns", cpu)
	}
	return b.String()
}
