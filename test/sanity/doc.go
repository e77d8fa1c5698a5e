// Package sanity runs the whole of csi-sanity against a real agent, on a thin and on a thick pool of real LVM.
package sanity
