package extender

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// bounds are the upper ends of the buckets of durations, in seconds.
var bounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1}

// metrics counts what was answered, in Prometheus' text format (exposition formats, 0.0.4).
type metrics struct {
	mu       sync.Mutex // guards what follows
	requests map[answerKind]int
	times    map[string]*histogram // by verb
	offered  int
	refused  int
	nowhere  int
}

type answerKind struct {
	verb string
	code int
}

type histogram struct {
	buckets [len(bounds)]int
	count   int
	sum     float64
}

// answered counts one request.
func (m *metrics) answered(verb string, code int, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests, m.times = map[answerKind]int{}, map[string]*histogram{}
	}
	m.requests[answerKind{verb, code}]++
	if m.times[verb] == nil {
		m.times[verb] = &histogram{}
	}
	h, seconds := m.times[verb], took.Seconds()
	h.count++
	h.sum += seconds
	for i, bound := range bounds {
		if seconds <= bound {
			h.buckets[i]++
		}
	}
}

// told counts what a pod was told of the nodes.
func (m *metrics) told(fit, refused int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offered += fit
	m.refused += refused
	if fit == 0 && refused > 0 {
		m.nowhere++
	}
}

// write writes all that there is to say, of the index, too.
func (m *metrics) write(w io.Writer, index *Index) {
	m.mu.Lock()
	defer m.mu.Unlock()
	head := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, help, kind) }
	head("loam_extender_requests_total", "counter", "Requests by verb and HTTP code.")
	for _, k := range slices.SortedFunc(maps.Keys(m.requests), func(a, b answerKind) int {
		return slices.Compare([]string{a.verb, fmt.Sprint(a.code)}, []string{b.verb, fmt.Sprint(b.code)})
	}) {
		fmt.Fprintf(w, "loam_extender_requests_total{verb=%q,code=\"%d\"} %d\n", k.verb, k.code, m.requests[k])
	}
	head("loam_extender_request_seconds", "histogram", "Time from a request to its answer.")
	for _, verb := range slices.Sorted(maps.Keys(m.times)) {
		h := m.times[verb]
		for i, bound := range bounds {
			fmt.Fprintf(w, "loam_extender_request_seconds_bucket{verb=%q,le=\"%v\"} %d\n", verb, bound, h.buckets[i])
		}
		fmt.Fprintf(w, "loam_extender_request_seconds_bucket{verb=%q,le=\"+Inf\"} %d\n", verb, h.count)
		fmt.Fprintf(w, "loam_extender_request_seconds_sum{verb=%q} %v\nloam_extender_request_seconds_count{verb=%[1]q} %[3]d\n", verb, h.sum, h.count)
	}
	one := func(name, kind, help string, value int) {
		head(name, kind, help)
		fmt.Fprintf(w, "%s %d\n", name, value)
	}
	one("loam_extender_nodes_offered_total", "counter", "Nodes that pods were told to fit on.", m.offered)
	one("loam_extender_nodes_refused_total", "counter", "Nodes that pods were told not to fit on.", m.refused)
	one("loam_extender_pods_nowhere_total", "counter", "Answers that left a pod no node.", m.nowhere)
	s := index.size()
	one("loam_extender_pods_in_placement", "gauge", "Pods that were told where they fit, and whose claims show no node yet.", s.placing)
	one("loam_extender_nodes", "gauge", "Nodes that are known.", s.nodes)
	one("loam_extender_claims", "gauge", "PersistentVolumeClaims that are known, of all drivers.", s.claims)
	one("loam_extender_volumes", "gauge", "PersistentVolumes of Loam.", s.volumes)
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
