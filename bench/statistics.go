package bench

import (
	"math"
	"slices"
)

// Estimate is a figure with the interval that holds the true one in 95 of 100 cases.
type Estimate struct{ Value, Low, High float64 }

// Throughput is the operations in a second, one for each run: flushes of a job that makes them, else reads and writes.
func (r JobResult) Throughput() []float64 {
	var all []float64
	for _, m := range r.Runs {
		all = append(all, m.PerSecond(r.Job))
	}
	return all
}

// PerSecond is the operations in a second; 0 of an empty measurement.
func (m Measurement) PerSecond(j Job) float64 {
	operations := m.Read.Operations + m.Write.Operations
	if j.Sync {
		operations = m.Sync.Operations
	}
	if m.Elapsed <= 0 {
		return 0
	}
	return float64(operations) / m.Elapsed.Seconds()
}

// Latency is that of all runs together: of flushes, where the job makes them, else of reads and writes.
func (r JobResult) Latency() Histogram {
	var all Histogram
	for _, m := range r.Runs {
		if r.Job.Sync {
			all.Merge(m.Sync.Latency)
			continue
		}
		all.Merge(m.Read.Latency)
		all.Merge(m.Write.Latency)
	}
	return all
}

// Rate is the geometric mean of the runs' throughput. Its interval is Student's over the runs' logarithms, as runs differ by
// factors rather than by differences; with one run it is unbounded.
func (r JobResult) Rate() Estimate {
	mean, variance, n := logarithms(r.Throughput())
	if n == 0 {
		return Estimate{}
	}
	return interval(mean, math.Sqrt(variance/float64(n)), float64(n-1))
}

// Ratio is how many times as much a job does as in another place: 0.9 is a tenth less. Its interval is Welch's, of the
// difference of two means of logarithms.
func Ratio(result, baseline JobResult) Estimate {
	a, va, na := logarithms(result.Throughput())
	b, vb, nb := logarithms(baseline.Throughput())
	if na == 0 || nb == 0 {
		return Estimate{}
	}
	va, vb = va/float64(na), vb/float64(nb)
	freedom := 0.0
	switch {
	case na < 2 || nb < 2:
	case va+vb == 0:
		freedom = float64(na + nb - 2)
	default:
		freedom = (va + vb) * (va + vb) / (va*va/float64(na-1) + vb*vb/float64(nb-1))
	}
	return interval(a-b, math.Sqrt(va+vb), freedom)
}

// logarithms are the mean and the variance of the logarithms of those that are above 0, and how many those are.
func logarithms(values []float64) (mean, variance float64, n int) {
	var logs []float64
	for _, v := range values {
		if v > 0 {
			logs = append(logs, math.Log(v))
			mean += math.Log(v)
		}
	}
	if n = len(logs); n == 0 {
		return 0, 0, 0
	}
	mean /= float64(n)
	for _, l := range logs {
		variance += (l - mean) * (l - mean)
	}
	return mean, variance / float64(max(n-1, 1)), n
}

func interval(mean, deviation, freedom float64) Estimate {
	if freedom < 1 {
		return Estimate{Value: math.Exp(mean), Low: 0, High: math.Inf(1)}
	}
	around := student(freedom) * deviation
	return Estimate{Value: math.Exp(mean), Low: math.Exp(mean - around), High: math.Exp(mean + around)}
}

// student is the 97.5th percentile of Student's distribution, from its table: for a freedom in between the one before, which makes
// the interval wider.
func student(freedom float64) float64 {
	table := []struct{ freedom, t float64 }{
		{1, 12.706}, {2, 4.303}, {3, 3.182}, {4, 2.776}, {5, 2.571}, {6, 2.447}, {7, 2.365}, {8, 2.306}, {9, 2.262}, {10, 2.228},
		{12, 2.179}, {15, 2.131}, {20, 2.086}, {30, 2.042}, {60, 2.000}, {120, 1.980},
	}
	for _, row := range slices.Backward(table) {
		if freedom >= row.freedom {
			return row.t
		}
	}
	return table[0].t
}
