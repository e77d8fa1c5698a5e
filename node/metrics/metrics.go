package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
)

// Path is where Prometheus asks.
const Path = "/metrics"

// counted is a metric of what happened in the agent itself.
type counted struct {
	name, kind, help string
	labels           []string
}

// Those that the agent counts by itself.
var (
	commands = counted{"loam_lvm_command_duration_seconds", "histogram", "How long lvm processes took, by LVM's command and whether it succeeded or failed.", []string{"command", "result"}}
	calls    = counted{"loam_csi_call_duration_seconds", "histogram", "How long calls of CSI took, by method and gRPC code.", []string{"method", "code"}}
	turns    = counted{"loam_volume_group_turn_wait_seconds", "histogram", "How long operations waited for their turn in a volume group, in which one is at work at a time.", nil}
	writes   = counted{"loam_capacity_publications_total", "counter", "Writes of CSIStorageCapacity objects to the API server, by whether they succeeded or failed.", []string{"result"}}
	build    = counted{"loam_build_info", "gauge", "Always 1; its label is the agent's version.", []string{"version"}}

	own = []counted{commands, calls, turns, writes, build}
)

// Upper ends of the buckets of durations, in seconds: a change of LVM's takes some hundredths on a quiet machine, a call as long as it waits.
var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120}

func (c counted) histogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: c.name, Help: c.help, Buckets: buckets}, c.labels)
}

// Metrics are those of one agent. New makes them.
type Metrics struct {
	registry               *prometheus.Registry
	commands, calls, turns *prometheus.HistogramVec
	writes                 *prometheus.CounterVec
}

// New collects from the source, which is asked at each scrape.
func New(s Source, version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), commands: commands.histogram(), calls: calls.histogram(), turns: turns.histogram(),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: writes.name, Help: writes.help}, writes.labels),
	}
	for _, result := range []string{succeeded, failed} {
		m.writes.WithLabelValues(result)
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: build.name, Help: build.help}, build.labels)
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.commands, m.calls, m.turns, m.writes, info, collector{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers scrapes, in OpenMetrics' format for those who accept it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError, Registry: m.registry})
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
