package bench

import "math"

// student is how many standard errors to either side of a mean hold the true one in so many cases of one, from 0 to below 1, by Student's
// distribution.
func student(freedom, confidence float64) float64 {
	low, high := 0.0, 1.0
	for within(high, freedom) < confidence && high < 1e12 {
		low, high = high, 2*high
	}
	for range 60 {
		middle := (low + high) / 2
		if within(middle, freedom) < confidence {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

// within is the probability that Student's t lies between -t and t: NIST's Digital Library of Mathematical Functions, 8.17.
func within(t, freedom float64) float64 {
	return 1 - beta(freedom/(freedom+t*t), freedom/2, 0.5)
}

// beta is the regularized incomplete beta function, by the continued fraction 8.17.22, which converges fast for x below (a+1)/(a+b+2).
func beta(x, a, b float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	if x > (a+1)/(a+b+2) {
		return 1 - beta(1-x, b, a)
	}
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	factor := math.Exp(ab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	fraction := 1.0
	for m := 200.0; m > 0; m-- { // from the inside
		odd := -(a + m - 1) * (a + b + m - 1) * x / ((a + 2*m - 2) * (a + 2*m - 1))
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		fraction = 1 + odd/(1+even/fraction)
	}
	return factor / fraction
}
