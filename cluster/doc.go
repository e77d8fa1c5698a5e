// Package cluster answers what an operator asks of Loam in a whole cluster: what is wrong and what to type next, where the disks,
// pools and volumes are, why a claim waits. It is what `kubectl loam` prints.
//
// Client reads Kubernetes (Read, into Objects) and asks the agents (Ask), each by a command in its pod (Exec): there is no other way in, and
// none that an ordinary kubeconfig does not have. What follows from that is pure: Assess (status.go), Disks and Plan, Pools, Volumes,
// Explain, Events, and the files of Collect.
//
// Whatever cannot be read, and whoever does not answer, is told beside the rest (Gap, Agent.Problem) and never taken for "there is
// nothing". It changes nothing in the cluster.
package cluster
