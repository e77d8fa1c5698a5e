// Package node is the agent: the whole CSI driver of one node.
//
// agent.go wires its parts, serve.go serves them, operator.go answers what CSI cannot say. The parts are packages below,
// none of which knows this one: config, disk, pool, volume, filesystem, csi, admin, registration, health.
package node
