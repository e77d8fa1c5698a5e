package extender

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func TestScoresRank(t *testing.T) {
	for _, c := range []struct {
		left []lvm.Bytes
		want []int64
	}{
		{nil, []int64{}},
		{[]lvm.Bytes{5}, []int64{0}},
		{[]lvm.Bytes{5, 5, 5}, []int64{0, 0, 0}},
		{[]lvm.Bytes{5, 6}, []int64{0, 10}},
		{[]lvm.Bytes{1000000, 1000001, 1}, []int64{5, 10, 0}},
		{[]lvm.Bytes{unfit, 1, 2}, []int64{0, 5, 10}},
		{[]lvm.Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{[]lvm.Bytes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, []int64{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
	} {
		if got := scores(c.left, nil); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, want %v", c.left, got, c.want)
		}
	}
}

func TestTheBestNodeHasItsScoreForItself(t *testing.T) {
	var left []lvm.Bytes
	for i := range 5000 {
		left = append(left, lvm.TiB+lvm.Bytes(i)*lvm.MiB)
	}
	rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	counts := map[int64]int{}
	for _, s := range scores(left, nil) {
		counts[s]++
	}
	if counts[10] != 1 {
		t.Errorf("%d of 5,000 nodes have the highest score, want the best alone (%v)", counts[10], counts)
	}
}

func TestPrioritizeBySpreadOrBinpack(t *testing.T) {
	w := newWorld(t)
	nodes := []string{"a", "b", "c", "x"}
	for node, gib := range map[string]int{"a": 10, "b": 30, "c": 20} {
		w.offer(node, "fast", fmt.Sprintf("fast %d", gib))
		w.offer(node, "packed", fmt.Sprintf("fast %d", gib))
	}
	w.claim("spread", "fast", 1)
	w.claim("packed", "packed", 1)
	w.claim("large", "packed", 15)
	w.volume("data", "b", 1)
	w.claim("data", "fast", 1, bound("pvc-data"))
	for _, c := range []struct {
		name string
		pod  Pod
		want []int64
	}{
		{"spread", pod("p", "spread"), []int64{3, 10, 6, 0}},
		{"packed", pod("p", "packed"), []int64{10, 3, 6, 0}},
		{"packed where it fits", pod("p", "large"), []int64{0, 5, 10, 0}},
		{"no claims", pod("p"), []int64{0, 0, 0, 0}},
		{"bound", pod("p", "data"), []int64{0, 0, 0, 0}},
		{"unknown", pod("p", "none"), []int64{0, 0, 0, 0}},
	} {
		for range 3 { // it is stable, and the pod's own being in placement changes nothing
			if got := w.Prioritize(c.pod, nodes); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
			w.where(c.pod, nodes...)
		}
	}
	w.claim("more", "fast", 25, on("b"))
	if got := w.Prioritize(pod("p", "spread"), nodes); !slices.Equal(got, []int64{6, 3, 10, 0}) {
		t.Errorf("with 25 GiB on their way to b: %v, want b last of those that fit", got)
	}
}

func TestTheBestAreThoseWithMostLeft(t *testing.T) {
	for range 300 {
		left := make([]lvm.Bytes, 1+rand.IntN(50))
		for i := range left {
			left[i] = lvm.Bytes(rand.IntN(1 + rand.IntN(30)))
		}
		many := 1 + rand.IntN(len(left))
		var all []int
		for i := range left {
			all = append(all, i)
		}
		slices.SortStableFunc(all, func(a, b int) int { return int(left[b] - left[a]) })
		want := slices.Sorted(slices.Values(all[:many]))
		if got := best(left, nil, many); !slices.Equal(got, want) {
			t.Fatalf("the best %d of %v: %v, want %v", many, left, got, want)
		}
	}
}
