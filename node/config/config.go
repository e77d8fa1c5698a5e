package config

import (
	"github.com/loam-storage/loam/lvm"
)

// Config is a node's whole configuration, with every default applied.
type Config struct {
	Pools []Pool // in the order of the file, which decides between pools that name the same device

	origin origin
}

// origin is where a Config came from, so that a later complaint about it names file and line. It decides nothing.
type origin struct {
	file  string
	pools []places
}

// Pool is one pool: a volume group, the devices that it may take, and how it gives space.
type Pool struct {
	Name        string // a DNS label (RFC 1123); StorageClass parameter "pool"
	Type        Type
	Devices     Devices
	VolumeGroup string   // an existing group of this name is adopted, never made anew
	Reserve     Share    // of the group; never given out
	Thin        ThinPool // zero for a thick pool
	Stripes     int      // devices across which data is striped; 1 is none
	Wipe        Wipe     // "" for a thin pool, which zeroes new blocks instead
	// Nodes are labels that a node must have for the pool to be there; empty means every node.
	Nodes map[string]string
}

// Type is how a pool gives space.
type Type string

// The types of a pool.
const (
	Thin  Type = "thin"  // volumes take space as they are written to; snapshots share it
	Thick Type = "thick" // volumes take all their space when they are made
)

// Wipe is what happens to the space of a deleted thick volume before it is given out again.
type Wipe string

// The ways to wipe.
const (
	Zero    Wipe = "zero"    // written over with zeroes
	Discard Wipe = "discard" // discarded; only for devices that then return zeroes
	None    Wipe = "none"    // given out as it is
)

// Devices says which block devices a pool may take.
type Devices struct {
	// Paths are patterns (path.Match) below /dev, of device nodes or of links to them. Empty: the pool takes no device,
	// and uses its volume group only as it finds it.
	Paths []string
	// Exclude are patterns of devices not to take. One without a slash is matched against the last element of a name.
	Exclude          []string
	MinSize, MaxSize lvm.Bytes // both inclusive; 0 is no bound
	Rotational       *bool     // nil: either
}

// ThinPool are the settings of a thin pool.
type ThinPool struct {
	Overprovision float64   // what may be promised, as a multiple of the pool's size
	ChunkSize     lvm.Bytes // unit of allocation
	StopAt        Share     // no new volume once data or metadata are as full as this
	Extend        Extend
}

// Extend is when and by how much a thin pool grows while its group has room.
type Extend struct {
	At Share // of data or metadata in use
	By Share // of the pool's size
}

// Selects says whether the pool is there on a node with those labels.
func (p Pool) Selects(labels map[string]string) bool {
	for key, want := range p.Nodes {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	return true
}
