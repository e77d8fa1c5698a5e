// Package published is what an agent says of a node's room beside the two figures that Kubernetes has a place for: exactly
// how much each pool can give, and which volumes that has counted already (Annotation, of a CSIStorageCapacity). The agent
// writes it, the scheduler extender reads it, and both stand on this package so that they mean the same.
//
// Pools is the whole, Key is how a volume is named in it. Parsing never fails on what a newer agent adds.
package published
