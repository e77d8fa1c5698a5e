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
// equal. It needs memory of that length.
func scores(left, memory []lvm.Bytes) []int64 {
	distinct := append(memory[:0], left...)
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

// best are the positions of the so many with most left, in their order; of equal ones the first. It needs memory of that length.
func best(left, memory []lvm.Bytes, many int) []int {
	least, equal := largest(append(memory[:0], left...), many)
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

// largest finds the least of the so many largest, and how many of those are equal to it. all changes its order (Hoare's
// selection: with many pods in placement, sorting would take as long as all the rest).
func largest(all []lvm.Bytes, many int) (least lvm.Bytes, equal int) {
	for {
		pivot := median(all[0], all[len(all)/2], all[len(all)-1])
		more, end := 0, len(all) // all[:more] is more than the pivot, all[end:] less, what lies between is equal
		for at := 0; at < end; {
			switch {
			case all[at] > pivot:
				all[at], all[more] = all[more], all[at]
				more++
				at++
			case all[at] < pivot:
				end--
				all[at], all[end] = all[end], all[at]
			default:
				at++
			}
		}
		switch {
		case many <= more:
			all = all[:more]
		case many > end:
			all, many = all[end:], many-end
		default:
			return pivot, many - more
		}
	}
}

func median(a, b, c lvm.Bytes) lvm.Bytes { return max(min(a, b), min(max(a, b), c)) }
