package bench

import (
	"encoding/json"
	"testing"
	"time"
)

func TestHistogramIsWithinOnePercentThroughJSON(t *testing.T) {
	var h Histogram
	for i := range 10_000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back Histogram
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	for percent, want := range map[float64]time.Duration{50: 5 * time.Millisecond, 99: 9900 * time.Microsecond, 100: 10 * time.Millisecond} {
		for name, got := range map[string]time.Duration{"before": h.Percentile(percent), "after": back.Percentile(percent)} {
			if off := float64(got-want) / float64(want); off < -0.01 || off > 0.01 {
				t.Errorf("p%v %s JSON is %v, expected %v within 1 %%", percent, name, got, want)
			}
		}
	}
	if back.Count() != 10_000 {
		t.Errorf("%d latencies after JSON, expected all 10000", back.Count())
	}
}

func TestHistogramRefusesImpossibleJSON(t *testing.T) {
	for _, text := range []string{`[[0,1]]`, `[[5,0]]`, `[[5,-1]]`, `{}`, `[["a",1]]`} {
		var h Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s was read; no histogram holds that", text)
		}
	}
}

func TestHistogramMerges(t *testing.T) {
	var all, one, empty Histogram
	one.RecordN(time.Millisecond, 3)
	all.Merge(one)
	all.Merge(one)
	all.Merge(empty)
	if all.Count() != 6 || all.Percentile(50) < time.Millisecond {
		t.Errorf("%d latencies with median %v, expected 6 of 1ms", all.Count(), all.Percentile(50))
	}
}
