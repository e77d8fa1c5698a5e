package extender

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/loam-storage/loam/metric"
)

var (
	requests = metric.Metric{
		Name: "loam_extender_requests_total", Kind: metric.Counter, Labels: []string{"verb", "code"},
		Help: "Requests by verb (filter, prioritize) and HTTP code.",
	}
	times = metric.Metric{
		Name: "loam_extender_request_seconds", Kind: metric.Histogram, Labels: []string{"verb"},
		Help: "Time from a request to its answer. A filter waits up to 0.15 s for pods that are being placed.",
	}
	offered = metric.Metric{Name: "loam_extender_nodes_offered_total", Kind: metric.Counter, Help: "Nodes that pods were told to fit on."}
	refused = metric.Metric{Name: "loam_extender_nodes_refused_total", Kind: metric.Counter, Help: "Nodes that pods were told not to fit on."}
	lost    = metric.Metric{Name: "loam_extender_pods_nowhere_total", Kind: metric.Counter, Help: "Answers that left a pod no node."}
	waiting = metric.Metric{
		Name: "loam_extender_pods_in_placement", Kind: metric.Gauge,
		Help: "Pods that were told where they fit, and whose claims show no node yet.",
	}
	nodes   = metric.Metric{Name: "loam_extender_nodes", Kind: metric.Gauge, Help: "Nodes that are known."}
	claims  = metric.Metric{Name: "loam_extender_claims", Kind: metric.Gauge, Help: "PersistentVolumeClaims that are known, of all drivers."}
	volumes = metric.Metric{Name: "loam_extender_volumes", Kind: metric.Gauge, Help: "PersistentVolumes of Loam."}
)

// Metrics are those of a scheduler extender, in the order in which they are documented.
func Metrics() []metric.Metric {
	return []metric.Metric{requests, times, offered, refused, lost, waiting, nodes, claims, volumes, metric.Build}
}

// metrics counts what was answered.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	times    *prometheus.HistogramVec

	offered, refused, lost prometheus.Counter
}

// newMetrics counts; how much the index knows is asked at each scrape.
func newMetrics(index *Index, version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), requests: requests.Counter(), times: times.Histogram(),
		offered: offered.Counter().WithLabelValues(), refused: refused.Counter().WithLabelValues(), lost: lost.Counter().WithLabelValues(),
	}
	m.registry.MustRegister(m.requests, m.times, m.offered, m.refused, m.lost, known{index}, metric.BuildInfo(version),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler answers scrapes.
func (m *metrics) handler() http.Handler {
	return metric.Handler(m.registry)
}

// answered counts one request.
func (m *metrics) answered(verb string, code int, took time.Duration) {
	m.requests.WithLabelValues(verb, strconv.Itoa(code)).Inc()
	m.times.WithLabelValues(verb).Observe(took.Seconds())
}

// told counts what a pod was told of the nodes.
func (m *metrics) told(fit, not int) {
	m.offered.Add(float64(fit))
	m.refused.Add(float64(not))
	if fit == 0 && not > 0 {
		m.lost.Inc()
	}
}

// known tells how much an index knows.
type known struct{ index *Index }

// Describe implements prometheus.Collector.
func (k known) Describe(to chan<- *prometheus.Desc) {
	for _, m := range []metric.Metric{waiting, nodes, claims, volumes} {
		to <- m.Desc()
	}
}

// Collect implements prometheus.Collector.
func (k known) Collect(to chan<- prometheus.Metric) {
	s := k.index.size()
	to <- waiting.Sample(waiting.Desc(), float64(s.placing))
	to <- nodes.Sample(nodes.Desc(), float64(s.nodes))
	to <- claims.Sample(claims.Desc(), float64(s.claims))
	to <- volumes.Sample(volumes.Desc(), float64(s.volumes))
}

// size is how much an index knows.
type size struct{ nodes, claims, volumes, placing int }

func (i *Index) size() size {
	s := size{placing: i.placing.inPlacement()}
	i.mu.RLock()
	defer i.mu.RUnlock()
	s.nodes, s.claims, s.volumes = len(i.nodes), len(i.claims), len(i.volumes)
	return s
}
