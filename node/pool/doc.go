// Package pool says what a node's pools are and what they may still give, and brings them up.
//
// The decisions are pure functions on a report of LVM: Space (what a pool has left), Fit (the size for a request),
// Growth (whether a volume may grow). GetCapacity, creation, expansion, listings and metrics all ask the same
// function, so that what is published is what is enforced. Pools is the running side: it claims disks, makes and
// activates pools, wipes deleted thick volumes, and holds the one lock there is, per volume group, around
// read → decide → act. Rooms is what all pools can still give, and Changed tells when that may have changed.
//
// The package never removes anything but a volume that its user deleted.
package pool
