package bench

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// hostile has names that mean something in each of the forms.
func hostile() Report {
	r := target(map[string][]int64{"j": {100, 101, 102}})
	r.Stages[0].Name = "a \"b\"\\\n<script>alert(1)</script> & /c"
	j := slow(r.Stages[0].Jobs[0], time.Millisecond)
	j.Labels, j.Runs[0].Series = []Label{Quick}, []Second{{Operations: 100}, {Operations: 90}}
	r.Stages[0].Jobs[0] = j
	r.Host.Name = "x\nBenchmarkEvil 1 1 ns/op"
	return r
}

func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	for name, r := range map[string]Report{"report": real(t, "report"), "layers": real(t, "layers"), "hostile": hostile()} {
		var b bytes.Buffer
		if err := EncodePrometheus(&b, r); err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.New(bytes.NewReader(b.Bytes())).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v in\n%s", name, err, problems, b.String())
		}
		if want := `loam_bench_operations_per_second{kind="` + string(r.Kind) + `",where="`; !strings.Contains(b.String(), want) {
			t.Errorf("%s has no %s", name, want)
		}
	}
}

// goLines are those of Go's benchmark format: configuration, units, results.
var goLines = regexp.MustCompile(`^([a-z][^\sA-Z:]*: \S.*|Unit \S+ better=(higher|lower)|BenchmarkLoam/where=[^\s/]+/job=[^\s/]+-\d+ \d+( [\d.]+ [^\s\d]\S*)+)$`)

func TestGoBenchmarkLinesAreWellFormed(t *testing.T) {
	for name, r := range map[string]Report{"report": real(t, "report"), "layers": real(t, "layers"), "hostile": hostile()} {
		var b bytes.Buffer
		if err := EncodeGo(&b, r); err != nil {
			t.Fatal(err)
		}
		runs := 0
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if !goLines.MatchString(line) {
				t.Errorf("%s: %q is no line of the format", name, line)
			}
			if strings.HasPrefix(line, "Benchmark") {
				runs++
			}
		}
		want := 0
		for _, s := range r.Stages {
			for _, j := range s.Jobs {
				want += len(j.Runs)
			}
		}
		if runs != want {
			t.Errorf("%s: %d lines of results, want one for each of the %d runs", name, runs, want)
		}
	}
}

func TestPagesAskForNothingAndEscapeNames(t *testing.T) {
	for name, r := range map[string]Report{"report": real(t, "report"), "layers": real(t, "layers"), "hostile": hostile()} {
		var b bytes.Buffer
		if err := EncodeHTML(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"<script", "http:", "https:", "src=", "url(", "@import", "ZgotmplZ", "NaN", "%!"} {
			if strings.Contains(b.String(), word) {
				t.Errorf("the page of %s has %q in it", name, word)
			}
		}
		if drawn, named := strings.Count(b.String(), "role=\"img\""), strings.Count(b.String(), "<desc "); drawn == 0 || drawn != named {
			t.Errorf("the page of %s has %d plots, of which %d are described", name, drawn, named)
		}
	}
}

// TestColoursHaveContrast holds the page's colours against WCAG 2.2: 4.5 for text (1.4.3), 3 for marks (1.4.11).
func TestColoursHaveContrast(t *testing.T) {
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(pageText, -1)
	if len(schemes) != 2 {
		t.Fatalf("the page has %d sets of colours, want light and dark", len(schemes))
	}
	for i, scheme := range schemes {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(scheme[1], -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for _, c := range []struct {
			mark, on string
			least    float64
		}{
			{"ink", "paper", 4.5}, {"muted", "paper", 4.5}, {"ink", "card", 4.5}, {"muted", "card", 4.5}, {"ink", "warn-paper", 4.5},
			{"accent", "card", 3}, {"strong", "card", 3}, {"warn", "warn-paper", 3},
		} {
			a, b := colour[c.mark], colour[c.on]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < c.least {
				t.Errorf("scheme %d: the contrast of %s on %s is %.1f, want %.1f", i, c.mark, c.on, ratio, c.least)
			}
		}
	}
}

// luminance is WCAG's relative luminance.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}
