package bench

import "testing"

func TestSteadyIsSNIAs(t *testing.T) {
	for name, c := range map[string]struct {
		throughput []float64
		want       bool
	}{
		"four rounds":              {[]float64{100, 100, 100, 100}, false},
		"five alike":               {[]float64{100, 100, 100, 100, 100}, true},
		"the beginning is old":     {[]float64{900, 500, 100, 101, 99, 100, 102}, true},
		"one a fifth off":          {[]float64{100, 100, 121, 100, 100}, false},
		"within a fifth":           {[]float64{100, 92, 109, 92, 100}, true},
		"rising by more than 10 %": {[]float64{94, 97, 100, 103, 107}, false},
		"rising by less":           {[]float64{96, 98, 100, 102, 104}, true},
		"falling":                  {[]float64{107, 103, 100, 97, 94}, false},
		"nothing":                  {[]float64{0, 0, 0, 0, 0}, false},
	} {
		if got := steady(c.throughput); got != c.want {
			t.Errorf("%s: steady is %v for %v", name, got, c.throughput)
		}
	}
}

func TestThrottledIsALastingFall(t *testing.T) {
	series := func(operations ...int64) (s []Second) {
		for _, n := range operations {
			s = append(s, Second{Operations: n})
		}
		return s
	}
	for name, c := range map[string]struct {
		series []Second
		want   bool
	}{
		"even":      {series(9, 9, 9, 9, 9, 9, 9, 9, 9, 1), false},
		"falling":   {series(9, 9, 9, 9, 8, 7, 6, 6, 6, 6), true},
		"one dip":   {series(9, 9, 9, 1, 9, 9, 9, 9, 8, 9), false},
		"too short": {series(9, 9, 1, 1), false},
		"rising":    {series(1, 1, 1, 5, 5, 5, 9, 9, 9, 9), false},
		"none":      {nil, false},
	} {
		if got := throttled(c.series); got != c.want {
			t.Errorf("%s: throttled is %v", name, got)
		}
	}
}
