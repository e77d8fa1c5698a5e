package admin

import (
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Info is which agent answers, and how it is set up.
type Info struct {
	Node       string `json:"node"`       // first part of every volume's ID
	Version    string `json:"version"`    // of the agent
	Driver     string `json:"driver"`     // CSI's name for it
	KubeletDir string `json:"kubeletDir"` // volumes are mounted beneath it, "/" for anywhere
	CSISocket  string `json:"csiSocket"`  // path of the unix socket

	ConfigPath string `json:"configPath"`
	// ConfigProblem says why what is in that file now is not in use, and the last good one still is; "" when it is.
	ConfigProblem string `json:"configProblem"`
	// CapacityProblem says since when and why what is published to kube-scheduler of the node's room is old; "" when it is not, and of an
	// agent that is in no cluster.
	CapacityProblem string `json:"capacityProblem"`
}

// DiskState says what the agent made of a disk.
type DiskState string

// The states of a disk.
const (
	DiskTaken   DiskState = "taken"   // a physical volume of a pool
	DiskFree    DiskState = "free"    // may be taken, and is not yet
	DiskRefused DiskState = "refused" // left as it is, for the reason given
)

// Disk is a block device that the node has, taken or not.
type Disk struct {
	Path        string    `json:"path"`
	Size        lvm.Bytes `json:"size"`
	Kind        string    `json:"kind"` // disk, part, md, loop, …
	Model       string    `json:"model"`
	Serial      string    `json:"serial"`
	State       DiskState `json:"state"`
	Pool        string    `json:"pool"` // the one that has it, or whose configuration names it
	VolumeGroup string    `json:"volumeGroup"`
	Reason      string    `json:"reason"` // why it is not taken, a sentence; "" when it is

	Links   []string `json:"links"`   // other paths of it, those that stay (/dev/disk/by-id/…) among them
	Unnamed bool     `json:"unnamed"` // nothing is in its way but the configuration, which does not name it
}

// Pool is a configured pool.
type Pool struct {
	Name        string `json:"name"`
	Type        string `json:"type"` // thin or thick
	VolumeGroup string `json:"volumeGroup"`
	Ready       bool   `json:"ready"` // volumes can be made and used

	Size      lvm.Bytes `json:"size"`      // what it could hold when empty
	Used      lvm.Bytes `json:"used"`      // allocated
	Promised  lvm.Bytes `json:"promised"`  // what its volumes may come to use
	Available lvm.Bytes `json:"available"` // what new volumes may ask for together
	Largest   lvm.Bytes `json:"largest"`   // the largest single volume that would be accepted now

	ThinPool string    `json:"thinPool"` // logical volume of a thin pool; "" for thick
	ExtendAt lvm.Bytes `json:"extendAt"` // how much of a thin pool may be in use before it is extended, or told to be nearly full
	Others   int       `json:"others"`   // logical volumes in its group that are not the agent's, and take room; a bench's are among them

	DataPercent     float64 `json:"dataPercent"`     // of a thin pool's data; of a thick pool's extents
	MetadataPercent float64 `json:"metadataPercent"` // of a thin pool's metadata; 0 for thick

	Volumes   int      `json:"volumes"`
	Snapshots int      `json:"snapshots"`
	Devices   []string `json:"devices"` // its physical volumes
	Problem   string   `json:"problem"` // why it gives nothing, a sentence; "" when it is well

	Conditions  []Condition `json:"conditions"`  // what a person should know of it besides
	Healed      []Healing   `json:"healed"`      // since the agent started, the latest last; not more than some
	HealedCount int         `json:"healedCount"` // how many there were
}

// Healing is something that an interrupted command of LVM had left, and the agent mended.
type Healing struct {
	Volume string    `json:"volume"` // logical volume
	What   string    `json:"what"`
	At     time.Time `json:"at"`
}

// Condition is something about a pool that a person should know.
type Condition struct {
	Kind    string    `json:"kind"` // one word, as in events: DataNearlyFull, DeviceMissing, …
	Since   time.Time `json:"since"`
	Message string    `json:"message"` // what is wrong, and what to do
}

// Kind says what a volume is.
type Kind string

// The kinds.
const (
	KindVolume   Kind = "volume"
	KindSnapshot Kind = "snapshot"
)

// Volume is a volume or a snapshot, which its LVM tags alone describe.
type Volume struct {
	ID          string    `json:"id"`   // CSI's: <node>/<logical volume>
	Name        string    `json:"name"` // the name that it was created by
	LV          string    `json:"lv"`
	Kind        Kind      `json:"kind"`
	Pool        string    `json:"pool"`
	VolumeGroup string    `json:"volumeGroup"`
	Size        lvm.Bytes `json:"size"`
	Used        lvm.Bytes `json:"used"`   // what it has allocated of its pool, as far as LVM knows
	FS          string    `json:"fs"`     // ext4, xfs, or "" for a raw block volume
	Claim       string    `json:"claim"`  // "namespace/name" of the PersistentVolumeClaim; "" for none
	Source      string    `json:"source"` // logical volume that its contents came from; "" for none
	Created     time.Time `json:"created"`
	Active      bool      `json:"active"` // the kernel has a device for it

	Device string `json:"device"` // path of its device on the node; "" when it is not active

	// Mounts are all mount points of its file system, or of its device file for a raw block volume, in the agent's
	// mount namespace: the staging path and every target.
	Mounts []string `json:"mounts"`
	Health string   `json:"health"` // what is wrong with it, a sentence; "" when it is well
}

// Restoration is how a pool's metadata on its disks could be made what they were; nothing of it is done.
type Restoration struct {
	Pool        string              `json:"pool"`
	VolumeGroup string              `json:"volumeGroup"`
	Backup      string              `json:"backup"` // path of the newest copy
	Change      int64               `json:"change"` // of the group's metadata, of which it is
	Created     time.Time           `json:"created"`
	Devices     []RestorationDevice `json:"devices"`
	Commands    []string            `json:"commands"` // for a shell; none when nothing has to be done
}

// RestorationDevice is a disk that the group should have.
type RestorationDevice struct {
	Path   string `json:"path"` // "" when it was not found
	UUID   string `json:"uuid"` // of the physical volume
	Found  string `json:"found"`
	Repair bool   `json:"repair"`
}
