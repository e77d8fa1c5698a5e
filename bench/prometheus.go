package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// metrics are what EncodePrometheus tells. All are gauges: they stand until the next measurement.
type metrics struct {
	names []string // in the order in which they came
	help  map[string]string
	lines map[string][]string
}

func (m *metrics) add(name, help string, value float64, labels ...string) {
	if m.lines == nil {
		m.help, m.lines = map[string]string{}, map[string][]string{}
	}
	if _, ok := m.lines[name]; !ok {
		m.names = append(m.names, name)
	}
	var pairs []string
	for label := range slices.Chunk(labels, 2) {
		pairs = append(pairs, label[0]+`="`+escape.Replace(label[1])+`"`)
	}
	m.help[name] = help
	m.lines[name] = append(m.lines[name], fmt.Sprintf("loam_bench_%s{%s} %s", name, strings.Join(pairs, ","), strconv.FormatFloat(value, 'g', -1, 64)))
}

// escape is that of label values (prometheus.io, "Exposition formats").
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// EncodePrometheus writes the figures in Prometheus' text format, for node exporter's textfile collector. It refuses time stamps, so when it was
// is a metric.
func EncodePrometheus(w io.Writer, r Report) error {
	var m metrics
	m.add("info", "Always 1; how it was measured.", 1, "version", r.Program, "kind", string(r.Kind), "engine", r.Engine, "profile", r.Profile.Name)
	m.add("ended_timestamp_seconds", "When the measurement ended, in seconds since 1970.", float64(r.Ended.Unix()), "kind", string(r.Kind))
	for _, s := range r.Stages {
		for _, j := range s.Jobs {
			if len(j.Runs) > 0 {
				m.job(r, s, j)
			}
			for _, l := range j.Labels {
				m.add("doubt", "1 for each doubt about the figures of a job.", 1, "kind", string(r.Kind), "where", s.Name, "job", j.Job.Name, "doubt", string(l))
			}
		}
	}
	for _, l := range r.Labels {
		m.add("doubt", "1 for each doubt about the figures of a job.", 1, "kind", string(r.Kind), "where", "", "job", "", "doubt", string(l))
	}
	for _, name := range m.names {
		text := fmt.Sprintf("# HELP loam_bench_%s %s\n# TYPE loam_bench_%s gauge\n%s\n", name, m.help[name], name, strings.Join(m.lines[name], "\n"))
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) job(r Report, s Stage, j JobResult) {
	labels := []string{"kind", string(r.Kind), "where", s.Name, "job", j.Job.Name}
	m.add("operations_per_second", "Reads and writes, or fdatasyncs of a job that makes them: the geometric mean of the repetitions.", j.Rate().Value, labels...)
	m.add("bytes_per_second", "Bytes read and written.", 1e6*j.megabytes(), labels...)
	if spread, ok := j.Spread(); ok {
		m.add("spread_ratio", "How far apart the repetitions' throughputs are, as a part of their average.", spread, labels...)
	}
	latency := j.Latency()
	for _, p := range percentiles {
		if known(latency, p.percent) {
			m.add("latency_seconds", "Latency that so many percent of the operations do not exceed.", latency.Percentile(p.percent).Seconds(),
				append(labels[:6:6], "percentile", strconv.FormatFloat(p.percent, 'g', -1, 64))...)
		}
	}
	if cpu := j.CPUPerIO(); cpu > 0 {
		m.add("cpu_seconds_per_operation", "Processor time of an operation, with the kernel's part.", cpu.Seconds(), labels...)
	}
	if cost, ok := r.Cost(s, j.Job.Name); ok {
		m.add("baseline_ratio", "Throughput, or beside noisy neighbours p99, as a ratio of the baseline's.", cost.Value, append(labels[:6:6], "baseline", s.Baseline)...)
	}
}
