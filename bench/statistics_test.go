package bench

import (
	"math"
	"testing"
	"time"
)

func result(perSecond ...int64) JobResult {
	r := JobResult{Job: Job{Name: "j"}}
	for _, n := range perSecond {
		r.Runs = append(r.Runs, Measurement{Elapsed: 10 * time.Second, Read: Direction{Operations: 10 * n}})
	}
	return r
}

func TestRateIsStudentsOverTheRuns(t *testing.T) {
	for name, c := range map[string]struct {
		runs []int64
		want Estimate
	}{
		// log mean 4.60499, log deviation 0.100051, t(4) = 2.776: factor exp(0.12421)
		"five runs": {[]int64{90, 95, 100, 105, 111}, Estimate{99.9367, 90.5, 110.36}},
		"all alike": {[]int64{100, 100, 100}, Estimate{100, 100, 100}},
		"one run":   {[]int64{100}, Estimate{100, 0, math.Inf(1)}},
		"none":      {nil, Estimate{}},
	} {
		got := result(c.runs...).Rate()
		for i, pair := range [][2]float64{{got.Value, c.want.Value}, {got.Low, c.want.Low}, {got.High, c.want.High}} {
			if pair[0] != pair[1] && math.Abs(pair[0]-pair[1]) > 0.02*pair[1] {
				t.Errorf("%s: figure %d of %+v; want %+v", name, i, got, c.want)
			}
		}
	}
}

func TestRatioIsWelchs(t *testing.T) {
	r := Ratio(result(50, 50, 50), result(100, 100, 100))
	if math.Abs(r.Value-0.5) > 1e-9 || math.Abs(r.Low-0.5) > 1e-9 || math.Abs(r.High-0.5) > 1e-9 {
		t.Errorf("exactly half is %+v", r)
	}
	r = Ratio(result(80, 100, 125), result(81, 99, 124))
	if r.Low > 1 || r.High < 1 || r.Value < 0.98 || r.Value > 1.02 {
		t.Errorf("no difference in much noise is %+v", r)
	}
	r = Ratio(result(50), result(100, 101))
	if r.Low != 0 || !math.IsInf(r.High, 1) {
		t.Errorf("a single run has the interval %+v, which nobody knows", r)
	}
	if r := Ratio(result(), result(1)); r != (Estimate{}) {
		t.Errorf("nothing against something is %+v", r)
	}
}

func TestStudentIsTheTables(t *testing.T) {
	for _, c := range []struct{ freedom, confidence, want float64 }{
		// NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
		{1, 0.95, 12.706}, {2, 0.95, 4.303}, {4, 0.95, 2.776}, {10, 0.95, 2.228}, {100, 0.95, 1.984},
		{1, 0.99, 63.657}, {4, 0.99, 4.604}, {4, 0.998, 7.173}, {30, 0.998, 3.385}, {1e6, 0.95, 1.960},
	} {
		if got := student(c.freedom, c.confidence); math.Abs(got-c.want) > 0.001 {
			t.Errorf("t of %v at %v is %.4f, want %v", c.freedom, c.confidence, got, c.want)
		}
	}
	if got := student(4.5, 0.95); got < student(5, 0.95) || got > student(4, 0.95) {
		t.Errorf("t of 4.5 is %v, which is not between those of 4 and 5", got)
	}
}
