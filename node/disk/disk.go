package disk

import (
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/signature"
)

// Kind is what a block device is, in lsblk(8)'s words where it has one.
type Kind string

// The kinds.
const (
	Whole     Kind = "disk"
	Partition Kind = "part"
	Loop      Kind = "loop"
	MD        Kind = "md"
	Multipath Kind = "mpath" // device-mapper's one device for all paths to a disk
	Crypt     Kind = "crypt" // device-mapper, dm-crypt: an opened LUKS or plain volume
	Mapped    Kind = "dm"    // device-mapper, of anybody else
	LV        Kind = "lvm"   // a logical volume; never listed, only a holder
)

// Number is a device number.
type Number struct{ Major, Minor uint32 }

// String is the number as the kernel writes it: "8:16".
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// Holder is a device that is made of another, and so keeps it.
type Holder struct {
	Name string // as people know it: md127, mpatha, loam--fast-pool_tdata
	Kind Kind
}

// Disk is a block device as the kernel describes it; nothing was read from the device itself.
type Disk struct {
	Path       string   // "/dev/sdb", "/dev/mapper/mpatha"
	Links      []string // other names of the same device, "/dev/disk/by-id/…"; none where udev does not run
	Number     Number
	Sequence   uint64 // grows with every disk that the kernel attaches (sysfs diskseq); 0 before Linux 5.15
	Kind       Kind
	Size       lvm.Bytes
	Rotational bool
	ReadOnly   bool
	Removable  bool
	// Model, Serial and WWN are the hardware's; "" where there are none, as for partitions and virtual disks.
	Model, Serial, WWN string

	Parent     string   // path of the disk that a partition is on
	Partitions []string // paths
	Holders    []Holder
	Mounts     []string // where its file system is mounted
	Swap       bool     // is swapped to

	writes uint64 // requests completed since it was attached (sysfs stat), which tell that its contents may have changed
}

// names are all paths that mean this disk.
func (d Disk) names() []string { return append([]string{d.Path}, d.Links...) }

// Inspected is a disk and what is on it.
type Inspected struct {
	Disk
	Signature signature.Signature
	// Err says why the signature is not known: ErrSilent, or signature.ErrUnreadable.
	Err error
	// Unfinished says that it holds nothing but what LVM leaves that is killed while it makes a physical volume for a pool. It may be
	// taken as a blank disk is.
	Unfinished bool
	// Held says that a blank disk is nevertheless held exclusively, by a program or by something that sysfs does not show.
	Held bool
}

// IsUnfinishedVolume says that an unfinished disk is a physical volume already, in no group.
func (d Inspected) IsUnfinishedVolume() bool {
	return d.Unfinished && d.Signature.Type == physicalVolume
}

// heldByVolumes says that logical volumes, and nothing else, are made of the device.
func (d Disk) heldByVolumes() bool {
	for _, h := range d.Holders {
		if h.Kind != LV {
			return false
		}
	}
	return len(d.Holders) > 0
}

// heldByOthers says that something else than logical volumes is made of the device, so that its contents are that
// something's: a RAID member may look like the physical volume on the array.
func (d Disk) heldByOthers() bool { return len(d.Holders) > 0 && !d.heldByVolumes() }
