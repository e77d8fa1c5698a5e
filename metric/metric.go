// Package metric describes a metric once, for Prometheus and for its documentation. What is measured, when and by whom is for its users.
package metric

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Kind is a type of metric, as Prometheus calls it.
type Kind string

// The kinds.
const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Path is where Prometheus asks, of whoever has metrics.
const Path = "/metrics"

// Metric is one metric.
type Metric struct {
	Name   string // with its unit (prometheus.io, "Metric and label naming")
	Kind   Kind
	Help   string // a sentence
	Labels []string
}

// Upper ends of the buckets of durations, in seconds: a change of LVM's takes some hundredths on a quiet machine, a call as long as it waits.
func buckets() []float64 {
	return []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}
}

// Histogram is one of durations.
func (m Metric) Histogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: buckets()}, m.Labels)
}

// Counter counts from 0.
func (m Metric) Counter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// Gauge is set, and not told before.
func (m Metric) Gauge() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

// Desc is for those who tell the metric's values as they are when they are asked.
func (m Metric) Desc() *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
}

// Sample is a value of it, with the values of its labels in their order.
func (m Metric) Sample(desc *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return m.SampleWith(desc, value, prometheus.MakeLabelPairs(desc, labels))
}

// SampleWith is Sample with labels as prometheus.MakeLabelPairs makes them, which many samples may share: with thousands of them that is
// a third of what a scrape takes.
func (m Metric) SampleWith(desc *prometheus.Desc, value float64, labels []*dto.LabelPair) prometheus.Metric {
	return sample{desc, m.Kind, value, labels}
}

type sample struct {
	desc   *prometheus.Desc
	kind   Kind
	value  float64
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (s sample) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s sample) Write(to *dto.Metric) error {
	to.Label = s.labels
	if s.kind == Counter {
		to.Counter = &dto.Counter{Value: &s.value}
	} else {
		to.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// Build is what each of Loam's programs tells of itself.
var Build = Metric{Name: "loam_build_info", Kind: Gauge, Help: "Always 1; its label is the version of who is asked.", Labels: []string{"version"}}

// BuildInfo is Build of a version.
func BuildInfo(version string) prometheus.Collector {
	info := Build.Gauge()
	info.WithLabelValues(version).Set(1)
	return info
}

// Table documents metrics, in Markdown.
func Table(all []Metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(m.Labels, ", "), m.Help)
	}
	return b.String()
}
