// Package pool measures inside a pool of an agent's: what each layer between the raw disk and a file system costs (Layers), and what
// a volume gets beside others that write all they can (Neighbours).
//
// Both make logical volumes of their own in the pool's volume group, marked by a tag that makes them nobody's volume, and remove
// them, however they end; what a killed one left is removed by the next. The decisions are pure functions on what the agent and LVM
// say: which layers there can be, and whether there is room. A pool is never brought to where its agent extends it or warns of it.
package pool
