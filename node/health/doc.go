// Package health tells Kubernetes how the agent is: a handler for liveness and readiness over plain HTTP, and the question
// to the agent's own CSI socket on which both rest. It takes no lock and starts no process.
package health
