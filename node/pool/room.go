package pool

import (
	"fmt"
	"slices"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/volume"
)

// LogicalVolume is the name of the thin pool's logical volume in its volume group.
const LogicalVolume = "pool"

// LeastMetadata is the free space of a VG's metadata area below which no volume is admitted: a volume takes about 300
// bytes of it, and what is written to it must end before the area is full.
const LeastMetadata = 4 * lvm.KiB

// Room is what a pool can still give.
type Room struct {
	Size      lvm.Bytes // what the pool could hold when empty, over-provisioning not counted
	Used      lvm.Bytes // allocated: extents of thick volumes, mapped chunks of a thin pool
	Promised  lvm.Bytes // what the volumes that exist may come to use
	Available lvm.Bytes // what new volumes may ask for together
	Largest   lvm.Bytes // the largest single volume that would be accepted now
	Extent    lvm.Bytes // granularity of sizes
	Problem   string    // why nothing is given, for people; "" when something may be

	MetadataPercent float64 // of a thin pool's metadata that is in use; 0 for a thick pool

	Volumes []Held // which Available has counted; no snapshots
}

// Held is the room that one volume has.
type Held struct {
	LV      string // its logical volume
	Size    lvm.Bytes
	Claimed bool // it was made for a PersistentVolumeClaim
}

// DataPercent is how much of the pool is allocated, in percent.
func (r Room) DataPercent() float64 { return percent(r.Used, r.Size) }

// Space computes what pool p of that group can still give.
func Space(p config.Pool, vg lvm.VolumeGroup) Room {
	var r Room
	if p.Type == config.Thin {
		r = thinRoom(p, vg)
	} else {
		r = thickRoom(p, vg)
	}
	r.Extent, r.Volumes = vg.ExtentSize, held(vg)
	r.Available = max(0, r.Available).RoundDown(vg.ExtentSize)
	r.Largest = min(max(0, r.Largest).RoundDown(vg.ExtentSize), r.Available)
	if problem := groupProblem(vg); problem != "" {
		r.Problem = problem
	}
	if r.Problem != "" {
		r.Available, r.Largest = 0, 0
	}
	return r
}

func held(vg lvm.VolumeGroup) []Held {
	var all []Held
	for _, lv := range vg.LVs {
		if rec, ours := volume.Read(lv); ours && rec.Kind == volume.Volume {
			all = append(all, Held{LV: lv.Name, Size: lv.Size, Claimed: rec.Claim != ""})
		}
	}
	return all
}

func groupProblem(vg lvm.VolumeGroup) string {
	switch {
	case vg.Exported:
		return fmt.Sprintf("volume group %s is exported (vgimport takes it back)", vg.Name)
	case vg.Silent():
		return fmt.Sprintf("%d of the %d physical volumes of volume group %s do not answer", vg.MissingPVs, len(vg.PVs), vg.Name)
	case vg.MissingPVs > 0 || vg.Partial:
		return fmt.Sprintf("volume group %s misses %d of its %d physical volumes", vg.Name, vg.MissingPVs, len(vg.PVs))
	case vg.MetadataSize > 0 && vg.MetadataFree < LeastMetadata:
		return fmt.Sprintf("the metadata area of volume group %s is full (%v of %v free)", vg.Name, vg.MetadataFree, vg.MetadataSize)
	}
	return ""
}

// thickRoom counts the free extents that a volume of p.Stripes stripes can take, less the reserve.
func thickRoom(p config.Pool, vg lvm.VolumeGroup) Room {
	r := Room{Size: vg.Size - p.Reserve.Of(vg.Size), Used: vg.Size - vg.Free, Promised: vg.Size - vg.Free}
	r.Available = min(striped(vg, max(1, p.Stripes)), vg.Free-p.Reserve.Of(vg.Size))
	r.Largest = r.Available
	return r
}

// striped is what LVM can allocate when every extent needs one on each of n physical volumes: as lvcreate does, it takes
// the n with most room until fewer than n have any.
func striped(vg lvm.VolumeGroup, n int) lvm.Bytes {
	var free []lvm.Bytes
	for _, pv := range vg.PVs {
		if pv.Allocatable && !pv.Missing {
			free = append(free, pv.Free)
		}
	}
	var total lvm.Bytes
	for len(free) >= n {
		slices.SortFunc(free, func(a, b lvm.Bytes) int { return int(min(1, max(-1, b-a))) })
		step := free[n-1]
		if step < vg.ExtentSize {
			break
		}
		for i := range n {
			free[i] -= step
		}
		total += step * lvm.Bytes(n)
	}
	return total
}

// thinRoom is overprovision × size − promised, and nothing once the pool is nearly full or not well.
func thinRoom(p config.Pool, vg lvm.VolumeGroup) Room {
	lv, ok := ThinPool(vg)
	if !ok {
		return Room{Problem: fmt.Sprintf("volume group %s has no thin pool %s yet", vg.Name, LogicalVolume)}
	}
	r := Room{Size: lv.Size, Used: lv.Mapped, Promised: max(promised(vg, lv.Name), lv.Mapped)}
	r.Available = lvm.Bytes(p.Thin.Overprovision*float64(lv.Size)) - r.Promised
	r.Largest = r.Available
	r.MetadataPercent = percent(lv.MetadataUsed, lv.MetadataSize)
	r.Problem = thinProblem(p, lv)
	return r
}

// ThinPool finds the pool that Loam made, or the only one of an adopted group.
func ThinPool(vg lvm.VolumeGroup) (lvm.LogicalVolume, bool) {
	var found []lvm.LogicalVolume
	for _, lv := range vg.LVs {
		if lv.Segment != lvm.ThinPool {
			continue
		}
		if lv.Name == LogicalVolume {
			return lv, true
		}
		found = append(found, lv)
	}
	if len(found) == 1 {
		return found[0], true
	}
	return lvm.LogicalVolume{}, false
}

// promised sums what the thin volumes of a pool may come to use: a volume all of its size, a snapshot what it held when
// it was taken.
func promised(vg lvm.VolumeGroup, pool string) lvm.Bytes {
	var sum lvm.Bytes
	for _, lv := range vg.LVs {
		if lv.Pool != pool || lv.Segment != lvm.Thin {
			continue
		}
		if rec, ours := volume.Read(lv); ours && rec.Kind == volume.Snapshot {
			sum += min(rec.Mapped, lv.Size)
		} else {
			sum += lv.Size
		}
	}
	return sum
}

func thinProblem(p config.Pool, lv lvm.LogicalVolume) string {
	switch {
	case !lv.Active:
		return "the thin pool is not active"
	case lv.Suspended:
		return "the thin pool is suspended"
	case lv.Health != lvm.Healthy:
		return fmt.Sprintf("the thin pool is not well: %s", lv.Health)
	case lv.Mapped >= p.Thin.StopAt.Of(lv.Size):
		return fmt.Sprintf("the thin pool's data is %.0f %% full and stopAt is %v", percent(lv.Mapped, lv.Size), p.Thin.StopAt)
	case lv.MetadataUsed >= p.Thin.StopAt.Of(lv.MetadataSize):
		return fmt.Sprintf("the thin pool's metadata is %.0f %% full and stopAt is %v", percent(lv.MetadataUsed, lv.MetadataSize), p.Thin.StopAt)
	}
	return ""
}

func percent(part, whole lvm.Bytes) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
