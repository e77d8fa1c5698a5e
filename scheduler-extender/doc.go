// Package extender is a scheduler extender (k8s.io/kube-scheduler/extender/v1): it tells kube-scheduler on which nodes all
// claims of a pod fit together, beside those that are being made there, and which of the nodes suits best. Run wires its parts.
//
// Index knows the cluster's claims and the nodes' room; it is fed values (values.go) by watch.go, and is asked about Pods. What
// it decides is pure: flight.go (a node's room less what is on its way there), demand.go (what a pod needs), trial.go (whether
// that fits), reasons.go and score.go (what is told). placing.go counts claims whose node kube-scheduler is about to choose.
// handler.go answers over HTTP, request.go reads what it is asked.
//
// It never writes to Kubernetes, and what it does not know it never takes for a fit.
package extender
