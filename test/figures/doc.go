// Package figures prints what Loam costs, on real LVM: counts, and ratios of two things measured in one run, never a bare
// time. `make bench` runs it.
package figures
