// Package csi serves the Container Storage Interface 1.13 for one node: Identity, Controller and Node.
//
// One file per operation, each of the shape read → decide → act → answer. Requests are parsed once, at the edge, into
// values that cannot be wrong (request.go); decisions are pure functions on a report of LVM; errors are values until
// the interceptor turns them into codes (status.go). No call is cut short: a caller that stops waiting gets
// DEADLINE_EXCEEDED, the work runs to its end, and a retry finds it (interceptor.go).
//
// The package never formats what might hold data, and never removes a volume but the one that it is told to.
package csi
