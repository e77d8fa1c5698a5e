// Package lifecycle takes volumes through their whole life on real LVM, through CSI alone, and checks every byte.
package lifecycle
