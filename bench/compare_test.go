package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// verdicts are those of the throughput of each job.
func verdicts(t *testing.T, a, b map[string][]int64) map[string]Verdict {
	t.Helper()
	c, err := Compare(target(a), target(b))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Verdict{}
	for _, change := range c.Changes {
		found[change.Job] = change.Verdict
	}
	return found
}

func TestAChangeIsCalledOutsideTheNoiseAlone(t *testing.T) {
	for name, c := range map[string]struct {
		a, b []int64
		want Verdict
	}{
		"a tenth less":               {[]int64{1000, 1005, 995}, []int64{900, 904, 896}, Worse},
		"a tenth more":               {[]int64{1000, 1005, 995}, []int64{1100, 1104, 1096}, Better},
		"a tenth less in much noise": {[]int64{1000, 1200, 850}, []int64{900, 1080, 765}, NoChange},
		"the same":                   {[]int64{1000, 1005, 995}, []int64{1000, 1005, 995}, NoChange},
		"exactly the same":           {[]int64{1000, 1000, 1000}, []int64{1000, 1000, 1000}, NoChange},
		"two repetitions":            {[]int64{1000, 1001}, []int64{500, 501, 502}, Unclear},
		"none":                       {nil, []int64{500, 501, 502}, Unclear},
	} {
		if got := verdicts(t, map[string][]int64{"j": c.a}, map[string][]int64{"j": c.b})["j"]; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestNothingIsCalledWhereNothingChanged compares reports of the same disk, with its noise, and counts in how many anything at all is called.
func TestNothingIsCalledWhereNothingChanged(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	measure := func() map[string][]int64 {
		jobs := map[string][]int64{}
		for job := range 20 {
			for range 4 {
				jobs[fmt.Sprint(job)] = append(jobs[fmt.Sprint(job)], int64(1e6*math.Exp(0.05*random.NormFloat64())))
			}
		}
		return jobs
	}
	const comparisons = 400
	wrong := 0
	for range comparisons {
		for _, v := range verdicts(t, measure(), measure()) {
			if v != NoChange {
				wrong++
				break
			}
		}
	}
	// 5 % of 400 are 20; 33 or more have a chance of 1 in 300
	if wrong > 32 {
		t.Errorf("%d of %d comparisons of the same disk call a change, want some 5 %% at most", wrong, comparisons)
	}
}

func TestLatencyIsWorseWhenItIsLonger(t *testing.T) {
	a, b := target(nil), target(nil)
	a.Stages[0].Jobs = []JobResult{slow(result(100, 100, 100), time.Millisecond)}
	b.Stages[0].Jobs = []JobResult{slow(result(100, 100, 100), 2*time.Millisecond)}
	b.Stages[0].Name = "/elsewhere" // single stages are compared however they are named
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range c.Changes {
		want := Worse
		if change.Figure == Throughput {
			want = NoChange
		}
		if change.Verdict != want {
			t.Errorf("%s is %q, want %q", change.Figure, change.Verdict, want)
		}
		if want == Worse && (change.Loss() < 0.99 || change.Loss() > 1.01) {
			t.Errorf("%s lost %v of itself, want 1", change.Figure, change.Loss())
		}
	}
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

func TestDifferentThingsAreNotCompared(t *testing.T) {
	jobs := map[string][]int64{"j": {1, 2, 3}}
	for want, change := range map[string]func(*Report){
		"kind: target in A and layers in B":                                        func(r *Report) { r.Kind = OfLayers },
		"size: 1 GiB in A and 2 GiB in B":                                          func(r *Report) { r.Profile.Size = 2 * lvm.GiB },
		"runtime: 10s in A and 1s in B":                                            func(r *Report) { r.Profile.Runtime = time.Second },
		"job j: random reads of 4 KiB, 1 in flight in A and random reads of 8 KiB": func(r *Report) { r.Stages[0].Jobs[0].Job.BlockSize = 8 * lvm.KiB },
		"j in /data is in A alone; k in /data is in B alone":                       func(r *Report) { r.Stages[0].Jobs[0].Job.Name = "k" },
	} {
		other := target(jobs)
		change(&other)
		if _, err := Compare(target(jobs), other); !errors.Is(err, ErrIncomparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrIncomparable with %q", err, want)
		}
	}
}

func TestDoubtsAndDifferencesAreCarriedIntoAComparison(t *testing.T) {
	a, b := target(map[string][]int64{"j": {1, 2, 3}}), target(map[string][]int64{"j": {1, 2, 3}, "k": {1}})
	a.Stages[0].Jobs[0].Labels = []Label{Quick}
	b.Host.Kernel, b.Engine = "6.12", "fio 3.33"
	for i := range b.Stages[0].Jobs {
		if b.Stages[0].Jobs[i].Job.Name == "k" {
			b.Stages[0].Jobs[i].Labels = []Label{Partial}
		}
	}
	c, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(c.Notes, "\n")
	for _, want := range []string{
		"The kernel is another one: 6.1 in A, 6.12 in B", "The engine is another one: built-in in A, fio 3.33 in B",
		"k in /data is in B alone", "All of A is quick: ", "In B, k is partial: ",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the notes lack %q:\n%s", want, all)
		}
	}
}
