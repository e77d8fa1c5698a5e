package bench

import "math"

// rounds is how many repetitions have to agree (SNIA Solid State Storage Performance Test Specification 2.0.2, 2.1.24).
const rounds = 5

// steady says whether the last five rounds are a steady state by SNIA's definition: none is further than 10 % from their
// average, so that they range over 20 % of it, and the line through them rises or falls by no more than 10 % of it.
func steady(throughput []float64) bool {
	if len(throughput) < rounds {
		return false
	}
	last := throughput[len(throughput)-rounds:]
	least, most, sum, slope := math.Inf(1), math.Inf(-1), 0.0, 0.0
	for i, y := range last {
		least, most, sum = min(least, y), max(most, y), sum+y
		slope += (float64(i) - (rounds-1)/2.0) * y
	}
	average := sum / rounds
	slope /= rounds * (rounds*rounds - 1) / 12.0 // the sum of squared distances of 0…4 from 2
	return average > 0 && most-least <= 0.2*average && math.Abs(slope)*(rounds-1) <= 0.1*average
}

// throttled says whether throughput fell through a run for good, as that of a hot or throttled disk does: its last third is
// below four fifths of its first. Runs of fewer than nine seconds tell nothing.
func throttled(series []Second) bool {
	series = series[:max(len(series)-1, 0)] // the last one may be a part of a second
	third := len(series) / 3
	if third < 3 {
		return false
	}
	return moved(series[len(series)-third:]) < 0.8*moved(series[:third])
}

func moved(series []Second) float64 {
	sum := 0.0
	for _, s := range series {
		sum += float64(s.Operations)
	}
	return sum
}
