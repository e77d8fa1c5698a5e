package pool

import (
	"fmt"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/volume"
)

// Volume is a volume or snapshot of ours: what LVM knows of it and what its tags say.
type Volume struct {
	Pool   string // name in the configuration
	Group  string // volume group
	LV     lvm.LogicalVolume
	Record volume.Record
}

// IsSnapshot says whether it is a snapshot that CSI knows as one, not a volume.
func (v Volume) IsSnapshot() bool { return v.Record.Kind == volume.Snapshot }

// Volumes are all of ours in the groups of those pools, in order of their names; what is being wiped is among them.
func Volumes(pools []config.Pool, report lvm.Report) []Volume {
	var all []Volume
	for _, p := range pools {
		vg, ok := report.VolumeGroup(p.VolumeGroup)
		if !ok {
			continue
		}
		for _, lv := range vg.LVs {
			if rec, ours := volume.Read(lv); ours {
				all = append(all, Volume{Pool: p.Name, Group: vg.Name, LV: lv, Record: rec})
			}
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.LV.Name, b.LV.Name) })
	return all
}

// Find returns our volume or snapshot with that logical volume name.
func Find(pools []config.Pool, report lvm.Report, lv string) (Volume, bool) {
	all := Volumes(pools, report)
	i := slices.IndexFunc(all, func(v Volume) bool { return v.LV.Name == lv && v.Record.Kind != volume.Wiping })
	if i < 0 {
		return Volume{}, false
	}
	return all[i], true
}

// Taken says whether any logical volume of those pools' groups has that name, ours or not, and in which group.
func Taken(pools []config.Pool, report lvm.Report, lv string) (group string, taken bool) {
	for _, p := range pools {
		if vg, ok := report.VolumeGroup(p.VolumeGroup); ok {
			if _, taken := vg.LV(lv); taken {
				return vg.Name, true
			}
		}
	}
	return "", false
}

// Placement is where a new volume goes and how large it becomes.
type Placement struct {
	Pool     config.Pool
	ThinPool string // its logical volume; "" for a thick pool
	Size     lvm.Bytes
}

// Place chooses the pool for a new volume of at least least bytes: of those given, the one with most room; the first of
// equals. When none admits it, the error of the last one asked says why: ErrNoRoom or ErrRange.
func Place(pools []config.Pool, report lvm.Report, want Range, least lvm.Bytes) (Placement, error) {
	var best Placement
	err := fmt.Errorf("%w: no pool is configured", ErrNoRoom)
	most := lvm.Bytes(-1)
	for _, p := range pools {
		vg, ok := report.VolumeGroup(p.VolumeGroup)
		if !ok {
			err = fmt.Errorf("pool %s: %w: volume group %s is not there, or not to be used: `loam pool list` on the node says why", p.Name, ErrNoRoom, p.VolumeGroup)
			continue
		}
		room := Space(p, vg)
		size, e := Fit(want, least, vg.ExtentSize)
		if e == nil {
			e = room.Admit(size)
		}
		if e != nil {
			err = fmt.Errorf("pool %s: %w", p.Name, e)
			continue
		}
		if room.Largest > most {
			lv, _ := ThinPool(vg)
			most, best = room.Largest, Placement{Pool: p, ThinPool: lv.Name, Size: size}
		}
	}
	if most < 0 {
		return Placement{}, err
	}
	return best, nil
}
