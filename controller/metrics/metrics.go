// Package metrics tells Prometheus what the sidecars asked of the controller, how its calls to agents ended, which agents there are
// and what nobody names any more. Being asked sends no call to an agent and waits for none.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/metric"
)

var (
	calls = metric.Metric{
		Name: "loam_controller_csi_call_duration_seconds", Kind: metric.Histogram, Labels: []string{"method", "code"},
		Help: "How long the sidecars' calls took, agents included, by method and gRPC code.",
	}
	asked = metric.Metric{
		Name: "loam_controller_agent_calls_total", Kind: metric.Counter, Labels: []string{"outcome"},
		Help: "Calls to agents by how they ended: answered; refused with an error, as for what is not there; unavailable, with the agent or a disk away; " +
			"abandoned, as the caller waited no longer; gone, with the node out of the cluster.",
	}
	agents = metric.Metric{
		Name: "loam_controller_agents", Kind: metric.Gauge, Labels: []string{"state"},
		Help: "Nodes with an agent's pod: ready, or away, which cannot be reached.",
	}
	orphans = metric.Metric{
		Name: "loam_controller_orphans", Kind: metric.Gauge, Labels: []string{"kind"},
		Help: "Volumes and snapshots that no object of Kubernetes has named for most of an hour; looked for once an hour.",
	}
	orphansObserved = metric.Metric{
		Name: "loam_controller_orphans_observed_timestamp_seconds", Kind: metric.Gauge, Labels: []string{"kind"},
		Help: "When they were last looked for, in seconds since 1970.",
	}
	ailing = metric.Metric{
		Name: "loam_controller_unhealthy_volumes", Kind: metric.Gauge,
		Help: "Volumes with which something is wrong, of the agents that answer; looked at once a minute.",
	}
)

// All are the metrics of a controller, in the order in which they are documented.
func All() []metric.Metric {
	return []metric.Metric{calls, asked, agents, orphans, orphansObserved, ailing, metric.Build}
}

// Outcome is how a call to an agent ended.
type Outcome string

// The outcomes.
const (
	Answered    Outcome = "answered"
	Refused     Outcome = "refused"
	Unavailable Outcome = "unavailable"
	Abandoned   Outcome = "abandoned"
	Gone        Outcome = "gone"
)

// Metrics are those of one controller. New makes them.
type Metrics struct {
	registry                         *prometheus.Registry
	calls                            *prometheus.HistogramVec
	asked                            *prometheus.CounterVec
	orphans, orphansObserved, ailing *prometheus.GaugeVec
}

// New collects; how many agents there are, of which nodes, is asked at each scrape.
func New(agentsNow func() (ready, away int), version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), calls: calls.Histogram(), asked: asked.Counter(),
		orphans: orphans.Gauge(), orphansObserved: orphansObserved.Gauge(), ailing: ailing.Gauge(),
	}
	for _, o := range []Outcome{Answered, Refused, Unavailable, Abandoned, Gone} {
		m.asked.WithLabelValues(string(o))
	}
	m.registry.MustRegister(m.calls, m.asked, m.orphans, m.orphansObserved, m.ailing, collector{agents.Desc(), agentsNow}, metric.BuildInfo(version),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

type collector struct {
	desc      *prometheus.Desc
	agentsNow func() (ready, away int)
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	ready, away := c.agentsNow()
	to <- agents.Sample(c.desc, float64(ready), "ready")
	to <- agents.Sample(c.desc, float64(away), "away")
}

// Handler answers scrapes, in OpenMetrics' format for those who accept it.
func (m *Metrics) Handler() http.Handler {
	return metric.Handler(m.registry)
}

// Call counts a sidecar's call that ended.
func (m *Metrics) Call(method string, code codes.Code, took time.Duration) {
	m.calls.WithLabelValues(method, code.String()).Observe(took.Seconds())
}

// Asked counts a call to an agent that ended.
func (m *Metrics) Asked(o Outcome) { m.asked.WithLabelValues(string(o)).Inc() }

// Orphans is how many of a kind there are, as of then.
func (m *Metrics) Orphans(kind string, n int, at time.Time) {
	m.orphans.WithLabelValues(kind).Set(float64(n))
	m.orphansObserved.WithLabelValues(kind).Set(float64(at.Unix()))
}

// Ailing is how many volumes something is wrong with.
func (m *Metrics) Ailing(n int) { m.ailing.WithLabelValues().Set(float64(n)) }
