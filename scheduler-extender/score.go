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
	steps := len(distinct) - 1
	var least [maxScore]lvm.Bytes // that has the score 1, 2, …
	for s := range least {
		if steps > 0 {
			least[s] = distinct[((s+1)*steps+maxScore-1)/maxScore]
		}
	}
	all := make([]int64, len(left))
	for i, l := range left {
		for s := maxScore; steps > 0 && s > 0; s-- {
			if l >= least[s-1] {
				all[i] = int64(s)
				break
			}
		}
	}
	return all
}

// best are the positions of the so many with most left, in their order; of equal ones the first.
func best(left []lvm.Bytes, many int) []int {
	sorted := slices.Clone(left)
	slices.Sort(sorted)
	least := sorted[len(sorted)-many]
	first, _ := slices.BinarySearch(sorted, least+1) // of those that have more
	equal := many - (len(sorted) - first)
	at := make([]int, 0, many)
	for i, l := range left {
		if l < least || l == least && equal == 0 {
			continue
		}
		if l == least {
			equal--
		}
		at = append(at, i)
	}
	return at
}
