package bench

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// real is a report of testdata, which a guest's disk gave.
func real(t testing.TB, name string) Report {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// target is a small report of one place, whose jobs gave so many operations in a second in each repetition.
func target(jobs map[string][]int64) Report {
	r := Report{
		Version: Version, Program: "v1", Kind: OfTarget, Host: Host{Name: "node-1", Kernel: "6.1", CPUs: 2}, Engine: "built-in",
		Profile: Profile{Name: "quick", Size: lvm.GiB, Runtime: 10 * time.Second, Repetitions: 3},
		Stages:  []Stage{{Name: "/data"}},
	}
	for name, rates := range jobs {
		j := result(rates...)
		j.Job = Job{Name: name, Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 1}
		r.Stages[0].Jobs = append(r.Stages[0].Jobs, j)
	}
	return r
}

func encoded(t testing.TB, r Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReportsComeBackAsTheyWere(t *testing.T) {
	for _, name := range []string{"report", "layers"} {
		r := real(t, name)
		again, err := Decode(encoded(t, r))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(encoded(t, again), encoded(t, r)) {
			t.Errorf("%s changed on its way through JSON", name)
		}
		before, after := r.Stages[0].Jobs[0].Latency(), again.Stages[0].Jobs[0].Latency()
		if before.Percentile(99.9) != after.Percentile(99.9) || before.Count() != after.Count() {
			t.Errorf("%s: p99.9 was %v of %d and is %v of %d", name, before.Percentile(99.9), before.Count(), after.Percentile(99.9), after.Count())
		}
	}
}

func TestNewerReportsAreRefusedByName(t *testing.T) {
	_, err := Decode([]byte(`{"version": 2, "program": "v7.1", "kind": {"of": "a kind that is an object by then"}}`))
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "version 2 by loam v7.1") || !strings.Contains(err.Error(), "up to version 1") {
		t.Errorf("a report of version 2: %v", err)
	}
}

func TestDamagedReportsAreRefused(t *testing.T) {
	for want, change := range map[string]func(string) string{
		"not a report of loam bench: unexpected end":    func(s string) string { return s[:len(s)/2] },
		"not a report of loam bench: version is 0":      func(string) string { return `{"kind": "target"}` },
		"not a report of loam bench: invalid character": func(s string) string { return s + "x" },
		`damaged report: kind "tarte": expected target`: func(s string) string { return strings.Replace(s, `"target"`, `"tarte"`, 1) },
		"damaged report: stages: expected at least one": func(s string) string {
			before, _, _ := strings.Cut(s, `"stages"`)
			return before + `"stages":[]}`
		},
		`stage "/data": there is no baseline "raw"`: func(s string) string {
			return strings.Replace(s, `"name":"/data"`, `"name":"/data","baseline":"raw"`, 1)
		},
		`job "a": blockSize is 0, expected at least 1`:  func(s string) string { return strings.Replace(s, `"blockSize":4096`, `"blockSize":0`, 1) },
		`job "a", run 1: elapsed is -1 ns`:              func(s string) string { return strings.Replace(s, `"elapsed":10000000000`, `"elapsed":-1`, 1) },
		`run 1: read: a count below 0`:                  func(s string) string { return strings.Replace(s, `"operations":1000`, `"operations":-1000`, 1) },
		"damaged report: reading a histogram: [0, 5]":   func(s string) string { return strings.Replace(s, `"latency":[]`, `"latency":[[0,5]]`, 1) },
		"damaged report: json: cannot unmarshal string": func(s string) string { return strings.Replace(s, `"runs":[`, `"runs":["x",`, 1) },
		`damaged report: stages: two are named "/data"`: func(s string) string {
			return strings.Replace(s, `"stages":[`, `"stages":[{"name":"/data","jobs":[]},`, 1)
		},
		`damaged report: stage "/data": two jobs are named`: func(s string) string {
			return strings.Replace(s, `"jobs":[{`, `"jobs":[{"job":{"name":"a","blockSize":1}},{`, 2)
		},
	} {
		text := change(strings.TrimSpace(string(encoded(t, target(map[string][]int64{"a": {100, 101, 102}})))))
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got the error %v, want one with %q", err, want)
		}
	}
}

// FuzzDecode looks for texts that are taken for a report and that no output can be made of.
func FuzzDecode(f *testing.F) {
	f.Add(encoded(f, target(map[string][]int64{"a": {100, 101, 102}, "b": nil})))
	f.Add([]byte(`{"version":1,"kind":"layers","stages":[{"name":"a","jobs":[{"job":{"name":"j","blockSize":1,"pattern":"randrw"},"runs":[{"elapsed":1,"read":{"latency":[[5,9223372036854775807]]}}]}]},{"name":"b","baseline":"a","jobs":null}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Decode(encoded(t, r))
		if err != nil || !bytes.Equal(encoded(t, again), encoded(t, r)) {
			t.Fatalf("%s\nis not what it was: %v", text, err)
		}
		for name, encode := range map[string]func(*bytes.Buffer) error{
			"html": func(b *bytes.Buffer) error { return EncodeHTML(b, r) },
			"prom": func(b *bytes.Buffer) error { return EncodePrometheus(b, r) },
			"go":   func(b *bytes.Buffer) error { return EncodeGo(b, r) },
		} {
			var b bytes.Buffer
			if err := encode(&b); err != nil || strings.Contains(b.String(), "NaN") {
				t.Fatalf("%s\n%s: %v\n%s", text, name, err, b.String())
			}
		}
		r.Tables()
		if _, err := Compare(r, r); err != nil && !errors.Is(err, ErrIncomparable) {
			t.Fatalf("%s\nagainst itself: %v", text, err)
		}
	})
}

func TestFiguresAreWrittenWithThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.234: "0.23", 1.005: "1.00", 9.996: "10.0", 45.67: "45.7", 99.96: "100", 999.7: "1,000", 1234567: "1,234,567"} {
		if got := three(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		950: "950 ns", 1500: "1.50 µs", 83210: "83.2 µs", 999_700: "1.00 ms", 12_340_000: "12.3 ms", 2 * time.Second: "2.00 s", 0: "0 ns",
	} {
		if got := short(d); got != want {
			t.Errorf("%d ns is %q, want %q", d, got, want)
		}
	}
	if got := (Estimate{0.5, 0, math.Inf(1)}).String(); got != "0.50" {
		t.Errorf("a ratio of single runs is %q, want no interval", got)
	}
}
