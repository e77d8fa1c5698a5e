package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/volume"
)

// pvMetadata is the metadata area of a physical volume that Loam makes. A thin volume takes about 300 bytes of it and
// LVM keeps two copies of the text, so LVM's default of 1 MiB ends near 1,700 volumes; this holds some 27,000.
const pvMetadata = 16 * lvm.MiB

// Bounds of a thin pool's metadata: LVM's least, and MostMetadata, the most that the kernel can use (lvmthin(7)).
const (
	leastPoolMetadata = 4 * lvm.MiB
	MostMetadata      = 15*lvm.GiB + 768*lvm.MiB
)

// unfinished says whether a device holds only what is left of making it a physical volume of ours.
func unfinished(device string) (bool, error) { return lvm.Unfinished(device, pvMetadata) }

// groupStep is what is to be done to a pool's volume group before its thin pool can be looked at.
type groupStep struct {
	create *lvm.CreateGroup
	extend []string // devices to add
}

// planGroup decides how the devices that may be claimed come into the pool's group; exists says whether there is one.
func planGroup(p config.Pool, vg lvm.VolumeGroup, exists bool, claimable []string) groupStep {
	switch {
	case len(claimable) == 0, exists && (vg.Exported || vg.MissingPVs > 0):
		return groupStep{}
	case exists:
		return groupStep{extend: claimable}
	}
	return groupStep{create: &lvm.CreateGroup{
		Name: p.VolumeGroup, Devices: claimable, MetadataSize: pvMetadata, Tags: []string{volume.PoolTag(p.Name)},
	}}
}

// poolStep is what is to be done inside a volume group.
type poolStep struct {
	group    string
	remove   []string // before all else
	create   *lvm.CreatePool
	extend   *lvm.ExtendPool
	activate []string
}

// planPool decides what the group needs for the pool to give volumes: a thin pool, its growth over space that was added,
// and the activation of what a reboot left inactive. Space that others hold in an adopted group is not touched, and
// only a pool that Loam made is grown.
func planPool(p config.Pool, vg lvm.VolumeGroup) poolStep {
	s := poolStep{group: vg.Name}
	if vg.Exported {
		return s
	}
	s.activate = inactive(p, vg)
	if p.Type != config.Thin || vg.MissingPVs > 0 {
		return s
	}
	stripe := vg.ExtentSize * lvm.Bytes(max(1, p.Stripes))
	spare := vg.Free - p.Reserve.Of(vg.Size)
	lv, ok := ThinPool(vg)
	if !ok {
		left, size := remains(p, vg)
		spare += size
		metadata := poolMetadata(spare, p.Thin.ChunkSize).RoundUp(vg.ExtentSize)
		data := (spare - 2*metadata).RoundDown(stripe) // LVM keeps a spare as large as the metadata
		if data > 0 {
			s.remove = left
			s.create = &lvm.CreatePool{
				VG: vg.Name, Name: LogicalVolume, Size: data, MetadataSize: metadata,
				ChunkSize: p.Thin.ChunkSize, Stripes: p.Stripes, Tags: []string{volume.PoolTag(p.Name)},
			}
		}
		return s
	}
	if !lv.HasTag(volume.PoolTag(p.Name)) {
		return s
	}
	// A metadata extent grown later is paid twice, as the spare follows.
	metadata := max(lv.MetadataSize, poolMetadata(lv.Size+max(0, spare), p.Thin.ChunkSize).RoundUp(vg.ExtentSize))
	data := (spare - 2*(metadata-lv.MetadataSize)).RoundDown(stripe)
	if data >= max(stripe, lv.Size/100) { // not for what rounding left over
		s.extend = &lvm.ExtendPool{VG: vg.Name, Name: lv.Name, Size: lv.Size + data}
		if metadata > lv.MetadataSize {
			s.extend.MetadataSize = metadata
		}
	}
	return s
}

// remains are what lvcreate leaves of a thin pool that is killed, to be removed before it is made again, and how much is had then.
// It first makes the spare metadata, under LVM's own name until it is hidden, and then the pool's metadata, with the pool's name and
// tag (lvm2: lib/metadata/lv_manip.c, thin_manip.c). The former is known by being all that has ever been done to a group of ours.
func remains(p config.Pool, vg lvm.VolumeGroup) (names []string, size lvm.Bytes) {
	for _, lv := range vg.LVs {
		first := vg.Seqno == 2 && slices.Contains(vg.Tags, volume.PoolTag(p.Name)) && lv.Name == "lvol0" && len(lv.Tags) == 0
		metadata := lv.Name == LogicalVolume && lv.HasTag(volume.PoolTag(p.Name))
		switch {
		case lv.Hidden && strings.HasSuffix(lv.Name, spareSuffix): // used again
			size += lv.Size
		case lv.Segment == lvm.Linear && !lv.Hidden && !lv.Open && (first || metadata):
			names, size = append(names, lv.Name), size+lv.Size
		}
	}
	return names, size
}

// spareSuffix ends the name of a group's spare metadata.
const spareSuffix = "_pmspare"

// unlike says how what is on the disks differs from the configuration in what cannot be changed in place, as it may after the
// configuration was changed while no agent ran: problem when the pool cannot be used so, note when it can, as it is.
func unlike(p config.Pool, vg lvm.VolumeGroup) (problem, note string) {
	lv, ok := vg.LV(LogicalVolume)
	thin := ok && lv.Segment == lvm.ThinPool && lv.HasTag(volume.PoolTag(p.Name))
	thick := slices.ContainsFunc(vg.LVs, func(lv lvm.LogicalVolume) bool {
		_, ours := volume.Read(lv)
		return ours && lv.Pool == ""
	})
	switch {
	case p.Type == config.Thick && thin:
		return "its type is thick in the configuration, and the pool was made thin; the type cannot be changed in place", ""
	case p.Type == config.Thin && !thin && thick:
		return "its type is thin in the configuration, and it has thick volumes; the type cannot be changed in place", ""
	case thin && lv.ChunkSize != p.Thin.ChunkSize:
		return "", fmt.Sprintf("thin.chunkSize is %v in the configuration and stays %v, with which the pool was made", p.Thin.ChunkSize, lv.ChunkSize)
	case thin && lv.Stripes > 0 && lv.Stripes != max(1, p.Stripes):
		return "", fmt.Sprintf("stripes is %d in the configuration and stays %d, with which the pool was made", max(1, p.Stripes), lv.Stripes)
	}
	return "", ""
}

// poolMetadata is the size for a thin pool's metadata: LVM's rule of 64 bytes for each chunk, doubled, as snapshots
// share chunks but not their entries.
func poolMetadata(data, chunk lvm.Bytes) lvm.Bytes {
	return min(MostMetadata, max(leastPoolMetadata, data/chunk*128))
}

// inactive are the logical volumes that should be active and are not: the thin pool and our volumes. Snapshots stay
// inactive: nobody reads them, and an active one would show its file system's UUID a second time to the host.
func inactive(p config.Pool, vg lvm.VolumeGroup) []string {
	var names []string
	if lv, ok := ThinPool(vg); ok && p.Type == config.Thin && !lv.Active {
		names = append(names, lv.Name)
	}
	for _, lv := range vg.LVs {
		if rec, ours := volume.Read(lv); ours && rec.Kind != volume.Snapshot && !lv.Active {
			names = append(names, lv.Name)
		}
	}
	return names
}
