// Package config is the configuration of a node: which pools there are, which devices each may take, and how they
// give space.
//
// Parse decodes it strictly: what it does not know, or what cannot be, is a Problem that names file, line and key, and
// all problems are reported at once. Keys is the one table of what may be written, from which Parse decodes and which
// the reference documentation follows. Watcher follows a file and keeps the last good Config; Changes says what of a
// new one can be applied in place.
//
// The package never looks at a device or at LVM: whether a path exists, or a volume group is there, is not its matter.
package config
