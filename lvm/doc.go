// Package lvm is LVM2 and device-mapper as a Go library: it reports, and it changes.
//
// LVM runs it: Report reads every volume group and Device one active device without a process (LVM is asked only when
// something is not as on a healthy machine), and each mutating method runs exactly one lvm command over the devices named
// by SetDevices. The values are Report,
// VolumeGroup, PhysicalVolume, LogicalVolume and Device; sizes are Bytes. What LVM refuses is a *CommandError; what never
// reaches it is ErrName or ErrSize.
//
// Mutating methods take no context on purpose: a mutating LVM command that is killed leaves pools suspended, so a
// caller may stop waiting but the command runs to its end, also when the whole agent ends. At most one runs per volume
// group at a time, and the physical volumes are flushed before a method returns nil.
//
// The package knows nothing of Kubernetes, logs nothing, decides nothing (policy is its caller's), runs no shell
// and never branches on the text of an LVM error. It was written for lvm2 2.03.16 and later, of which lvmtest.Run tells
// whether they behave as expected here.
package lvm
