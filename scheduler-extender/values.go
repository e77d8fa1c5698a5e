package extender

import (
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

// Names that Loam's parts agree on (docs/reference/storageclass.md).
const (
	driverName         = "loam.storage"
	topologyKey        = "loam.storage/node"
	parameterPool      = "pool"
	parameterPlacement = "placement"
	placementBinpack   = "binpack"
)

// Claim is what is known of a PersistentVolumeClaim.
type Claim struct {
	UID    string
	Class  string
	Volume string    // the PersistentVolume that it is bound to; "" for none yet
	Node   string    // the Node that was chosen for it; "" for none yet
	Size   lvm.Bytes // asked for
	Source Source
}

// Source is what the content of a claim's volume comes from; the zero value for nothing.
type Source struct {
	Kind string // VolumeSnapshot or PersistentVolumeClaim
	Key  string // namespace/name
}

// Volume is a PersistentVolume of ours.
type Volume struct {
	volume.ID
	Pool string
	Size lvm.Bytes
}

// Class is a StorageClass of ours.
type Class struct {
	Pool    string // "" for any
	Waits   bool   // for a pod before a volume is made
	Binpack bool   // nodes with less room left are better
}

// Offer is what a node has for a class: a CSIStorageCapacity.
type Offer struct {
	Node     string // the name of its Node object
	ID       string // its name in topologies and volume IDs
	Class    string
	Capacity lvm.Bytes
	Largest  lvm.Bytes
	Pools    published.Pools // nil: the agent is too old to say
}
