// Package lvmtest is for tests of what stands on package lvm: Fake is LVM in memory, Run is the suite that Fake and real
// LVM both pass, and RequireDisks hands out disks for tests that need the real one.
package lvmtest
