package lvm

import (
	"slices"
	"time"
)

// Report is what LVM knew at one moment, of the devices that it was allowed to see.
type Report struct {
	VolumeGroups []VolumeGroup
	// Unused are physical volumes in no volume group.
	Unused []PhysicalVolume
}

// VolumeGroup returns the group of that name; ok is false when the report has none.
func (r Report) VolumeGroup(name string) (vg VolumeGroup, ok bool) {
	i := slices.IndexFunc(r.VolumeGroups, func(g VolumeGroup) bool { return g.Name == name })
	if i < 0 {
		return VolumeGroup{}, false
	}
	return r.VolumeGroups[i], true
}

// clone is a deep copy, for callers that share one report.
func (r Report) clone() Report {
	r.Unused = clonePVs(r.Unused)
	r.VolumeGroups = slices.Clone(r.VolumeGroups)
	for i := range r.VolumeGroups {
		vg := &r.VolumeGroups[i]
		vg.Tags, vg.PVs, vg.LVs = slices.Clone(vg.Tags), clonePVs(vg.PVs), slices.Clone(vg.LVs)
		for j := range vg.LVs {
			vg.LVs[j].Tags = slices.Clone(vg.LVs[j].Tags)
		}
	}
	return r
}

func clonePVs(pvs []PhysicalVolume) []PhysicalVolume {
	pvs = slices.Clone(pvs)
	for i := range pvs {
		pvs[i].Tags = slices.Clone(pvs[i].Tags)
	}
	return pvs
}

// VolumeGroup is one VG with all it holds (vgs(8), pvs(8), lvs(8)).
type VolumeGroup struct {
	Name, UUID   string
	SystemID     string // host that owns the group (lvmsystemid(7)); "" for any
	Seqno        int64  // counts the changes of its metadata
	Tags         []string
	Size, Free   Bytes // in whole extents
	ExtentSize   Bytes
	MetadataSize Bytes // smallest metadata area on its devices
	MetadataFree Bytes // by how much the text of the metadata may still grow; two copies of it must fit
	Exported     bool  // vgexport(8): not to be touched here
	Partial      bool  // a physical volume is missing
	MissingPVs   int
	PVs          []PhysicalVolume
	LVs          []LogicalVolume // also hidden ones (pool data, pool metadata, spare)
}

// LV returns the logical volume of that name; ok is false when the group has none.
func (g VolumeGroup) LV(name string) (lv LogicalVolume, ok bool) {
	i := slices.IndexFunc(g.LVs, func(l LogicalVolume) bool { return l.Name == name })
	if i < 0 {
		return LogicalVolume{}, false
	}
	return g.LVs[i], true
}

// Silent says that physical volumes of the group do not answer: what is reported of its volumes is what they were, and nothing can be
// changed.
func (g VolumeGroup) Silent() bool {
	return slices.ContainsFunc(g.PVs, func(pv PhysicalVolume) bool { return pv.Silent })
}

// PhysicalVolume is one PV.
type PhysicalVolume struct {
	Device      string // path as LVM names it; "[unknown]" when missing
	UUID        string
	Tags        []string
	Size, Free  Bytes // usable by extents
	Missing     bool
	Silent      bool // it is there and does not answer; it counts as missing
	Duplicate   bool // another allowed device carries the same PV UUID; LVM refuses to change the group
	Allocatable bool
}

// Segment is the kind of a logical volume: its first segment's type (lvs -o segtype).
type Segment string

// The segment types that Loam makes or needs to recognise.
const (
	Linear   Segment = "linear"
	Striped  Segment = "striped"
	Thin     Segment = "thin"
	ThinPool Segment = "thin-pool"
)

// Health is lv_health_status; "" is well.
type Health string

// LVM's words for what can be wrong (lvs(8), lv_health_status).
const (
	Healthy          Health = ""
	PartialLV        Health = "partial"
	RefreshNeeded    Health = "refresh needed"
	Failed           Health = "failed"
	OutOfData        Health = "out_of_data"
	MetadataReadOnly Health = "metadata_read_only"
	NeedsCheck       Health = "check needed" // from lv_check_needed
)

// LogicalVolume is one LV, hidden ones included.
type LogicalVolume struct {
	Name, UUID string // Name without the brackets that lvs puts round hidden LVs
	Hidden     bool
	Segment    Segment
	Size       Bytes
	Tags       []string
	Pool       string // thin volumes: their thin pool's name
	Origin     string // snapshots: the LV they came from; "" once that is gone
	Created    time.Time
	Active     bool
	Suspended  bool
	Stale      bool // a change was interrupted: active, but not with the size and name that its metadata say, or a part of a thin pool that is not. Not known when LVM had to be asked
	Open       bool
	ReadOnly   bool
	SkipActive bool // activation is skipped unless forced (lvchange -K)
	Health     Health

	// Mapped is, for an active thin volume, what it has allocated; for an active thin pool, the data in use. It is exact,
	// but to 0.01 % of Size when LVM had to be asked, and 0 only for nothing; Device.Mapped is always exact. 0 for what is
	// inactive, of which nobody knows.
	Mapped Bytes

	// Thin pools only.
	MetadataSize, MetadataUsed Bytes
	ChunkSize                  Bytes
	ErrorWhenFull              bool
	TransactionID              uint64
	Pending                    bool // an interrupted command left something to be told to it. Not known when LVM had to be asked

	// Linear, striped and thin-pool data: devices across which it is striped; 1 when not.
	Stripes int
}

// HasTag says whether the volume carries that tag.
func (l LogicalVolume) HasTag(tag string) bool { return slices.Contains(l.Tags, tag) }

// Device is an active logical volume as the kernel has it (dm-ioctl TABLE_STATUS), read without a process.
type Device struct {
	Path         string // /dev/mapper/<name>
	Major, Minor uint32
	UUID         string // the LV's UUID with LVM's dashes, as in LogicalVolume.UUID
	Size         Bytes  // of the live table
	Suspended    bool
	OpenCount    int
	Mapped       Bytes // thin volumes: exactly what is allocated, -1 when their pool failed and nobody knows; others: 0
}

// Usage is how much of a thin pool is in use, as the kernel has it at that moment.
type Usage struct {
	Data, Size             Bytes
	Metadata, MetadataSize Bytes
	Health                 Health
}

// CreateGroup asks for a volume group on blank devices.
type CreateGroup struct {
	Name         string
	Devices      []string
	ExtentSize   Bytes // 0: LVM's default, 4 MiB
	MetadataSize Bytes // per PV; 0: LVM's default of 1 MiB, enough for about 1,700 thin volumes
	Tags         []string
}

// CreatePool asks for a thin pool.
type CreatePool struct {
	VG, Name     string
	Size         Bytes // of the data; rounded up to whole extents
	MetadataSize Bytes // 0: LVM's choice
	ChunkSize    Bytes // 0: LVM's choice
	Stripes      int   // 0 or 1: linear
	Tags         []string
}

// CreateThin asks for a thin volume.
type CreateThin struct {
	VG, Pool, Name string
	Size           Bytes
	Tags           []string
}

// CreateThick asks for a linear or striped volume.
type CreateThick struct {
	VG, Name string
	Size     Bytes
	Stripes  int // 0 or 1: linear
	Tags     []string
}

// CreateSnapshot asks for a thin snapshot, which needs no size of its own.
type CreateSnapshot struct {
	VG, Origin, Name string
	// Pool is the origin's thin pool (LogicalVolume.Pool). Without it LVM wants the dm-snapshot kernel module, which a
	// thin snapshot does not use and a node may not have.
	Pool string
	Tags []string
	// Writable snapshots are activated, and on every later activation: a clone. The others are read-only and stay
	// inactive.
	Writable bool
}

// ExtendPool asks for a larger thin pool. A zero size leaves that part as it is.
type ExtendPool struct {
	VG, Name           string
	Size, MetadataSize Bytes // the new sizes, not the growth
}

// ChangeTags asks for tags to be added and removed on many volumes in one command.
type ChangeTags struct {
	VG          string
	Names       []string
	Add, Remove []string
}
