// Package browser has tests that open what Loam writes for browsers in one, and take its picture.
package browser
