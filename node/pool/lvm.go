package pool

import (
	"context"

	"github.com/loam-storage/loam/lvm"
)

// LVM is what the node needs of LVM: *lvm.LVM, or lvmtest.Fake in tests.
type LVM interface {
	Report(ctx context.Context) (lvm.Report, error)
	Device(vg, lv string) (lvm.Device, error)
	Usage(vg, pool string) (lvm.Usage, error)
	// SetDevices names the only block devices that LVM may look at from now on.
	SetDevices(paths []string)

	// BackUp keeps a text copy of a group's metadata as of that change.
	BackUp(vg string, change int64) error
	// LastBackup is the newest such copy.
	LastBackup(vg string) (lvm.Backup, bool)
	// PlanRestore says how the metadata on devices could be made what the copy says.
	PlanRestore(vg string, devices []string) (lvm.Restoration, error)
	// Heal mends what interrupted commands have left.
	Heal(ctx context.Context, vg string) ([]lvm.Healed, error)

	CreateGroup(lvm.CreateGroup) error
	// ExtendGroup adds blank devices, each with a metadata area of that size.
	ExtendGroup(vg string, metadataSize lvm.Bytes, devices ...string) error
	// Clear makes devices blank of which lvm.Unfinished says that an interrupted command left them, and which the group gets.
	Clear(vg string, devices ...string) error
	CreatePool(lvm.CreatePool) error
	ExtendPool(lvm.ExtendPool) error
	CreateThin(lvm.CreateThin) error
	CreateThick(lvm.CreateThick) error
	CreateSnapshot(lvm.CreateSnapshot) error
	Extend(vg, lv string, size lvm.Bytes) error
	Remove(vg string, lvs ...string) error
	Activate(vg string, lvs ...string) error
	Deactivate(vg string, lvs ...string) error
	Rename(vg, from, to string) error
	ChangeTags(lvm.ChangeTags) error
	// Flush makes what an earlier command changed durable: a retry that finds its work done cannot know whether it is.
	Flush(vg string) error
}
