package extender

import (
	"math"
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// maxScore is kube-scheduler's (extender/v1, MaxExtenderPriority).
const maxScore = 10

// unfit is what a node leaves on which a pod does not fit.
const unfit = lvm.Bytes(math.MinInt64)

// scores ranks what nodes would be left with, from 0 for the least to 10 for the most. It goes by rank, not by amount: of
// 5,000 nodes that are nearly alike the best is still told from the others, and has its score for itself. Equal nodes are
// equal.
func scores(left []lvm.Bytes) []int64 {
	distinct := slices.Clone(left)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	all := make([]int64, len(left))
	steps := max(1, len(distinct)-1)
	for i, l := range left {
		rank, _ := slices.BinarySearch(distinct, l)
		all[i] = int64(rank * maxScore / steps)
	}
	return all
}

// best are the positions of the so many with most left, in their order; of equal ones the first.
func best(left []lvm.Bytes, many int) []int {
	at := make([]int, len(left))
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int {
		switch {
		case left[a] > left[b]:
			return -1
		case left[a] < left[b]:
			return 1
		}
		return 0
	})
	at = at[:min(many, len(at))]
	slices.Sort(at)
	return at
}
