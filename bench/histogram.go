package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies from 1 ns to an hour are kept to two significant digits, that is within 1 %, which is closer than any two runs agree. A third would
// make reports five times as large: 40 KB of JSON instead of 8 for each run.
const (
	shortest = 1
	longest  = int64(time.Hour)
	digits   = 2
)

// Histogram is a distribution of latencies, an HDR histogram (hdrhistogram.org). The zero value is an empty one. Its JSON is
// a list of [nanoseconds, count] pairs, the occupied buckets in rising order. It is not safe for concurrent use.
type Histogram struct {
	hdr *hdrhistogram.Histogram
}

// Record counts one latency; one that is shorter than 1 ns or longer than an hour counts as that.
func (h *Histogram) Record(latency time.Duration) { h.RecordN(latency, 1) }

// RecordN counts n of the same latency.
func (h *Histogram) RecordN(latency time.Duration, n int64) {
	if h.hdr == nil {
		h.hdr = hdrhistogram.New(shortest, longest, digits)
	}
	// RecordValues refuses what is out of range alone.
	_ = h.hdr.RecordValues(min(max(int64(latency), shortest), longest), n)
}

// Merge counts everything in other here, too.
func (h *Histogram) Merge(other Histogram) {
	if other.hdr == nil {
		return
	}
	for _, bar := range other.hdr.Distribution() {
		if bar.Count > 0 {
			h.RecordN(time.Duration(bar.To), bar.Count)
		}
	}
}

// Count is how many latencies were recorded.
func (h Histogram) Count() int64 {
	if h.hdr == nil {
		return 0
	}
	return h.hdr.TotalCount()
}

// Percentile is the latency that percent of all, from 0 to 100, do not exceed; 0 of an empty histogram.
func (h Histogram) Percentile(percent float64) time.Duration {
	if h.hdr == nil {
		return 0
	}
	return time.Duration(h.hdr.ValueAtPercentile(percent))
}

// Mean is the average latency; 0 of an empty histogram.
func (h Histogram) Mean() time.Duration {
	if h.hdr == nil {
		return 0
	}
	return time.Duration(h.hdr.Mean())
}

// MarshalJSON writes the occupied buckets.
func (h Histogram) MarshalJSON() ([]byte, error) {
	pairs := [][2]int64{}
	if h.hdr != nil {
		for _, bar := range h.hdr.Distribution() {
			if bar.Count > 0 {
				pairs = append(pairs, [2]int64{bar.To, bar.Count})
			}
		}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses latencies and counts that no histogram has.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var pairs [][2]int64
	if err := json.Unmarshal(text, &pairs); err != nil {
		return fmt.Errorf("reading a histogram: %w", err)
	}
	*h = Histogram{}
	for _, pair := range pairs {
		if pair[0] < shortest || pair[1] < 1 {
			return fmt.Errorf("reading a histogram: [%d, %d]: expected a latency of at least 1 ns and a count of at least 1", pair[0], pair[1])
		}
		h.RecordN(time.Duration(pair[0]), pair[1])
	}
	return nil
}
