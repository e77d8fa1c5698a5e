package bench

import "math"

// usual is in how many cases of one the interval of an Estimate holds the true figure, unless said otherwise.
const usual = 0.95

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
	if m.Elapsed <= 0 {
		return 0
	}
	return float64(m.operations(j)) / m.Elapsed.Seconds()
}

// operations are flushes of a job that makes them, else reads and writes.
func (m Measurement) operations(j Job) int64 {
	if j.Sync {
		return m.Sync.Operations
	}
	return m.Read.Operations + m.Write.Operations
}

// Latency is that of all runs together: of flushes, where the job makes them, else of reads and writes.
func (r JobResult) Latency() Histogram {
	var all Histogram
	for _, m := range r.Runs {
		all.Merge(m.latency(r.Job))
	}
	return all
}

func (m Measurement) latency(j Job) Histogram {
	if j.Sync {
		return m.Sync.Latency
	}
	var both Histogram
	both.Merge(m.Read.Latency)
	both.Merge(m.Write.Latency)
	return both
}

// percentiles is one of the latency, in seconds, for each run that has one.
func (r JobResult) percentiles(percent float64) []float64 {
	var all []float64
	for _, m := range r.Runs {
		if h := m.latency(r.Job); known(h, percent) {
			all = append(all, h.Percentile(percent).Seconds())
		}
	}
	return all
}

// Rate is the geometric mean of the runs' throughput. Its interval is Student's over the runs' logarithms, as runs differ by
// factors rather than by differences; with one run it is unbounded.
func (r JobResult) Rate() Estimate {
	return estimate(r.Throughput())
}

// estimate is the geometric mean of repetitions.
func estimate(values []float64) Estimate {
	mean, variance, n := logarithms(values)
	if n == 0 {
		return Estimate{}
	}
	return interval(mean, math.Sqrt(variance/float64(n)), float64(n-1), usual)
}

// Ratio is how many times as much a job does as in another place: 0.9 is a tenth less.
func Ratio(result, baseline JobResult) Estimate {
	return ratio(result.Throughput(), baseline.Throughput(), usual)
}

// ratio is that of two geometric means, with the interval that holds the true one in so many cases of one.
func ratio(values, baseline []float64, confidence float64) Estimate {
	difference, deviation, freedom, ok := welch(values, baseline)
	if !ok {
		return Estimate{}
	}
	return interval(difference, deviation, freedom, confidence)
}

// welch is the difference of two means of logarithms, its standard error, and the freedom of Welch's t. It is false where either has no value.
func welch(values, baseline []float64) (difference, deviation, freedom float64, ok bool) {
	a, va, na := logarithms(values)
	b, vb, nb := logarithms(baseline)
	if na == 0 || nb == 0 {
		return 0, 0, 0, false
	}
	va, vb = va/float64(na), vb/float64(nb)
	switch {
	case na < 2 || nb < 2:
	case va+vb == 0:
		freedom = float64(na + nb - 2)
	default:
		freedom = (va + vb) * (va + vb) / (va*va/float64(na-1) + vb*vb/float64(nb-1))
	}
	return a - b, math.Sqrt(va + vb), freedom, true
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

func interval(mean, deviation, freedom, confidence float64) Estimate {
	if freedom < 1 {
		return Estimate{Value: math.Exp(mean), Low: 0, High: math.Inf(1)}
	}
	around := student(freedom, confidence) * deviation
	return Estimate{Value: math.Exp(mean), Low: math.Exp(mean - around), High: math.Exp(mean + around)}
}
