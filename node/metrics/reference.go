package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Reference is the documentation of all metrics that are Loam's own, in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Written by node/metrics: LOAM_UPDATE=1 go test ./node/metrics -->

Each agent serves them at ` + "`/metrics`" + ` of its health address, port 9751 in the chart's DaemonSet, in Prometheus' text format or OpenMetrics.
What is told of pools and volumes is what the agent last saw of them, some seconds ago at most; ` + "`" + observed.name + "`" + ` says when.
A scrape starts no process and waits for no lock. Beside these there are those of the Go runtime and of the process (` + "`go_*`, `process_*`" + `).

Volumes are labelled with their claim, so that they can be joined with the kubelet's ` + "`kubelet_volume_stats_*`" + `, which tell how full file systems are.

| metric | type | labels | |
|---|---|---|---|
`)
	row := func(name, kind, help string, labels ...string) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, kind, strings.Join(labels, ", "), help)
	}
	for _, m := range collected {
		kind := "gauge"
		if m.kind == prometheus.CounterValue {
			kind = "counter"
		}
		row(m.name, kind, m.help, m.labels...)
	}
	for _, o := range own {
		row(o.name, o.kind, o.help, o.labels...)
	}
	return b.String()
}
