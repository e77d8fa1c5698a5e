package bench

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// slow gives each run of a job such latencies: 1,000 of each.
func slow(j JobResult, latencies ...time.Duration) JobResult {
	for i := range j.Runs {
		for _, l := range latencies {
			j.Runs[i].Read.Latency.RecordN(l, 1000)
		}
	}
	return j
}

func TestPercentilesBeyondWhatWasMeasuredAreUnknown(t *testing.T) {
	j := slow(result(100), time.Millisecond) // 1,000 operations: none is expected beyond p99.99
	row := Report{Stages: []Stage{{}}}.row("a", Stage{}, j)
	if want := []string{"a", "100", "0", "-", "1.00 ms", "1.00 ms", "1.00 ms", "-", "-"}; !slices.Equal(row, want) {
		t.Errorf("got %q, want %q", row, want)
	}
	row = Report{Stages: []Stage{{}}}.row("a", Stage{}, JobResult{})
	if want := []string{"a", "-", "-", "-", "-", "-", "-", "-", "-"}; !slices.Equal(row, want) {
		t.Errorf("of no run: got %q, want %q", row, want)
	}
}

func TestLabelsOfSomeJobsAreMarkedAndThoseOfAllAreSaidOnce(t *testing.T) {
	r := target(map[string][]int64{"a": {1}})
	r.Stages[0].Jobs = []JobResult{
		{Job: Job{Name: "a"}, Labels: []Label{Quick, Cached}},
		{Job: Job{Name: "b"}, Labels: []Label{Quick, Partial, Cached}, Error: "no"},
		{Job: Job{Name: "c"}, Labels: []Label{Quick}},
	}
	r.Stages[0].Skipped = "it is mounted"
	var names []string
	for _, row := range r.Tables()[0].Rows {
		names = append(names, row[0])
	}
	if want := []string{"a [b]", "b [a,b]", "c"}; !slices.Equal(names, want) {
		t.Errorf("lines are of %q, want %q", names, want)
	}
	want := []string{
		"[a] partial: it was interrupted", "[b] page cache: writes", "All of it is quick: too short", "/data was not written: it is mounted", "b in /data ended early: no",
	}
	notes := r.Notes()
	for i, w := range want {
		if len(notes) != len(want) || !strings.HasPrefix(notes[i], w) {
			t.Fatalf("notes are\n%s\nwant\n%s", strings.Join(notes, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestMixedJobsShowReadsAndWritesToo(t *testing.T) {
	j := JobResult{Job: Job{Name: "mixed", Pattern: RandRW}, Runs: []Measurement{{
		Elapsed: time.Second, Read: Direction{Operations: 70, Bytes: 7e6}, Write: Direction{Operations: 30, Bytes: 3e6},
	}}}
	j.Runs[0].Read.Latency.RecordN(time.Millisecond, 70)
	j.Runs[0].Write.Latency.RecordN(time.Second, 30)
	rows := Report{}.rows("mixed", Stage{}, j)
	for i, want := range []string{"mixed 100 10.0", "  reads 70.0 7.00", "  writes 30.0 3.00"} {
		if got := strings.Join(rows[i][:3], " "); got != want {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
	if rows[1][4] != "1.00 ms" || rows[2][4] != "1.00 s" {
		t.Errorf("p50 of reads is %s and of writes %s, want 1.00 ms and 1.00 s", rows[1][4], rows[2][4])
	}
}

func TestNeighboursCostTimeAndLayersThroughput(t *testing.T) {
	alone, beside := slow(result(100, 100, 100), time.Millisecond), slow(result(50, 50, 50), 3*time.Millisecond)
	r := Report{Kind: OfLayers, Stages: []Stage{{Name: "0", Jobs: []JobResult{alone}}, {Name: "4", Baseline: "0", Jobs: []JobResult{beside}}}}
	if e, ok := r.Cost(r.Stages[1], "j"); !ok || e.String() != "0.50 (0.50–0.50)" {
		t.Errorf("as a layer it has %v (%v) of its baseline's throughput, want half", e, ok)
	}
	r.Kind = OfNeighbours
	if e, ok := r.Cost(r.Stages[1], "j"); !ok || e.Value < 2.99 || e.Value > 3.01 {
		t.Errorf("beside neighbours the p99 is %v (%v) times that alone, want 3", e, ok)
	}
	if e, ok := r.Cost(r.Stages[0], "j"); ok {
		t.Errorf("the first stage costs %v, and has no baseline", e)
	}
}

func TestTablesFitATerminal(t *testing.T) {
	for _, name := range []string{"report", "layers"} {
		for _, table := range real(t, name).Tables() {
			if table = table.Fit(100); table.width() > 100 || !slices.Contains(table.Columns, "P99.99") {
				t.Errorf("%s, %s: %d letters wide, with the columns %q; want at most 100, and P99.99", name, table.Title, table.width(), table.Columns)
			}
		}
	}
}

func TestEtcdsVerdictIsOfItsOwnWritesAlone(t *testing.T) {
	sync := Job{Name: "fsync", Pattern: Write, BlockSize: 2300, Sync: true}
	run := func(latency time.Duration) []Measurement {
		m := Measurement{Elapsed: time.Second}
		m.Sync.Latency.RecordN(latency, 100)
		return []Measurement{m}
	}
	other := sync
	other.BlockSize = 8192
	r := Report{Stages: []Stage{
		{Name: "fast", Jobs: []JobResult{{Job: sync, Runs: run(2 * time.Millisecond)}, {Job: other, Runs: run(time.Second)}}},
		{Name: "slow", Jobs: []JobResult{{Job: sync, Runs: run(20 * time.Millisecond)}}},
		{Name: "none", Jobs: []JobResult{{Job: sync}}},
	}}
	want := []string{
		"Good enough for etcd, with a p99 of fdatasync of at most 10.0 ms: fast 2.00 ms",
		"Too slow for etcd, with a p99 of fdatasync of more than 10.0 ms: slow 20.0 ms",
	}
	if got := r.verdicts(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
