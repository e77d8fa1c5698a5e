// Package claim measures what a pod gets: `loam bench run` in pods on claims of a StorageClass, on one node or on each, gathered into one
// bench.Report. It is `loam bench pvc`.
//
// Gather does it for a Wanted with a Client. Each node gets one object, a Job with a generic ephemeral volume: Kubernetes itself makes the pod
// and the claim, which belong to the Job, so that deleting it deletes all of them, and the Job goes by itself when whoever made it was
// killed (manifest.go). Which nodes are fit (Choose), what a pod waits for (look), and what its log says (transcript) are pure.
//
// It is a package of its own, beside package cluster: that one reads a cluster and changes nothing, and this one stands on package bench,
// which knows no Kubernetes. Neither knows the other; the command joins them.
//
// The package never makes a privileged pod, never touches what has not its label, and logs nothing.
package claim
