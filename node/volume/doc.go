// Package volume says how a CSI volume or snapshot is written down in LVM, which is the only record of it: its ID, the
// name of its logical volume and the tags that carry the rest. It is pure: it parses, prints and decides nothing else.
package volume
