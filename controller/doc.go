// Package controller is the router: it serves CSI Identity and Controller to the standard sidecars, and forwards each call
// to the agent on the node that the call is about. Run wires its parts.
//
// Router answers the calls, one file per kind: create.go (by topology, or by room), volume.go (by the node in an ID),
// list.go (all agents), capacity.go, identity.go (answered here). Agents knows which pod is a node's agent and holds
// the connections. What is decided is pure: where.go (topologies to nodes), survey.go (the order of nodes), page.go and
// token.go (lists), pod.go (a node's agent).
//
// It keeps no record: what is true about a volume is in LVM on its node. All that it remembers is which creations it has
// not heard the end of (attempts.go), and losing that loses no data. It never retries on its own, never changes an agent's
// answer, and never writes to Kubernetes but events.
package controller
