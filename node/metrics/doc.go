// Package metrics tells Prometheus how a node's pools and volumes are, what was asked of the agent, and what LVM took for it. What is
// told of pools is what the agent last saw of them, some seconds ago at most: being asked starts no process, waits for no lock, and reads
// of the disks only the kernel's counters.
package metrics
