package bench

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// three writes a figure of at least 0 with three significant digits, or all of a whole number's with commas: 0.82, 45.6, 12,345.
func three(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short writes a duration with three significant digits: 83.2 µs, 1.23 ms.
func short(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}} {
		// 999.6 µs would be 1,000 µs
		if float64(d) >= 0.9995*float64(u.unit) {
			return three(float64(d)/float64(u.unit)) + " " + u.name
		}
	}
	return fmt.Sprintf("%d ns", d)
}

// percent writes a part of one: 3.2 %, 45 %.
func percent(v float64) string {
	if v < 0.0995 {
		return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(100*v, 'f', 0, 64) + " %"
}

// String is the ratio with its interval: "0.82 (0.79–0.85)", and without where nobody knows one.
func (e Estimate) String() string {
	if math.IsInf(e.High, 1) {
		return fmt.Sprintf("%.2f", e.Value)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", e.Value, e.Low, e.High)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
