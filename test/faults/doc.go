// Package faults shows, on real LVM, the faults that Loam survives: each test is named after one, makes it happen, and
// checks the promise and that nobody else's bytes changed.
package faults
