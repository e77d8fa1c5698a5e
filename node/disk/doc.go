// Package disk finds the block devices of a node, and says of each which pool has it, may take it, or why none may.
//
// Scanner looks: Scan lists the devices (Disk) and what is on them (Inspected), Recheck looks once more just before one
// is claimed. Everything else is pure: Candidates are the devices to ask LVM about, and from its report Groups says which
// volume group is a pool's and on which devices, and Assess gives the Verdict on every disk.
//
// What a disk is, is decided by what is on it, never by its path: a volume group is a pool's by its name and by one of
// its physical volumes being where the configuration says, and a device belongs to it when the UUID in its label is one
// that the group's metadata names. A disk put in another's place is therefore a new disk, and must be blank; a copy of a
// disk carries a UUID a second time, and is left alone.
//
// The package never writes to a device: claiming is LVM's work (package lvm), asked for by package pool.
package disk
