package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/metric"
)

// Those that the agent counts by itself.
var (
	commands = metric.Metric{Name: "loam_lvm_command_duration_seconds", Kind: metric.Histogram, Help: "How long lvm processes took, by LVM's command and whether it succeeded or failed.", Labels: []string{"command", "result"}}
	calls    = metric.Metric{Name: "loam_csi_call_duration_seconds", Kind: metric.Histogram, Help: "How long calls of CSI took, by method and gRPC code.", Labels: []string{"method", "code"}}
	turns    = metric.Metric{Name: "loam_volume_group_turn_wait_seconds", Kind: metric.Histogram, Help: "How long operations waited for their turn in a volume group, in which one is at work at a time."}
	writes   = metric.Metric{Name: "loam_capacity_publications_total", Kind: metric.Counter, Help: "Writes of CSIStorageCapacity objects to the API server, by whether they succeeded or failed.", Labels: []string{"result"}}

	own = []metric.Metric{commands, calls, turns, writes, metric.Build}
)

// Metrics are those of one agent. New makes them.
type Metrics struct {
	registry               *prometheus.Registry
	commands, calls, turns *prometheus.HistogramVec
	writes                 *prometheus.CounterVec
}

// New collects from the source, which is asked at each scrape.
func New(s Source, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), commands: commands.Histogram(), calls: calls.Histogram(), turns: turns.Histogram(),
		writes: writes.Counter(),
	}
	for _, result := range []string{succeeded, failed} {
		m.writes.WithLabelValues(result)
	}
	m.registry.MustRegister(m.commands, m.calls, m.turns, m.writes, metric.BuildInfo(version), collector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers scrapes, in OpenMetrics' format for those who accept it.
func (m *Metrics) Handler() http.Handler {
	return metric.Handler(m.registry)
}

const succeeded, failed = "succeeded", "failed"

func resultOf(err error) string {
	if err != nil {
		return failed
	}
	return succeeded
}

// Command counts an lvm process that ended.
func (m *Metrics) Command(c lvm.Command) {
	m.commands.WithLabelValues(c.Args[0], resultOf(c.Err)).Observe(c.Duration.Seconds())
}

// Call counts a call that ended.
func (m *Metrics) Call(method string, code codes.Code, took time.Duration) {
	m.calls.WithLabelValues(method, code.String()).Observe(took.Seconds())
}

// Turn counts an operation that got its turn, or gave up.
func (m *Metrics) Turn(waited time.Duration) { m.turns.WithLabelValues().Observe(waited.Seconds()) }

// Wrote counts a write of a capacity object.
func (m *Metrics) Wrote(err error) { m.writes.WithLabelValues(resultOf(err)).Inc() }
