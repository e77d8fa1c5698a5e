package disk

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
)

// physicalVolume is blkid's name for the label of LVM2.
const physicalVolume = "LVM2_member"

// Survey is all that is decided from: the disks of one Scan, the pools of this node in their order, and LVM's report on
// the Candidates.
type Survey struct {
	Disks  []Inspected
	Pools  []config.Pool
	Report lvm.Report
	Labels map[string]string // of this node in Kubernetes; nil: there is no Kubernetes, and pools are for every node
}

// Candidates are the devices to survey: those with the label of a physical volume, whosever it is. Not among them are
// devices that something else than volumes is made of, whose label may be that of an array or map on top, and copies.
func Candidates(disks []Inspected) []string {
	var paths []string
	for _, d := range disks {
		if d.isPhysicalVolume() && len(copies(disks, d)) == 0 {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

func (d Inspected) isPhysicalVolume() bool {
	return d.Err == nil && d.Signature.Type == physicalVolume && !d.heldByOthers()
}

// copies are the other disks that carry the same PV UUID, unless d is the one among them that is in use: that one is the
// original for whoever has volumes open on it. Of copies none of which is in use, none is trusted.
func copies(disks []Inspected, d Inspected) []string {
	if d.Signature.UUID == "" {
		return nil
	}
	var others []string
	used := 0
	for _, o := range disks {
		if o.Path == d.Path || !o.isPhysicalVolume() || o.Signature.UUID != d.Signature.UUID {
			continue
		}
		others = append(others, o.Path)
		if o.heldByVolumes() {
			used++
		}
	}
	if d.heldByVolumes() && used == 0 {
		return nil
	}
	return others
}

// Group is a pool's volume group.
type Group struct {
	Pool   string
	Name   string
	UUID   string // "" when there is none yet
	Exists bool
	VG     lvm.VolumeGroup // as it was reported; another of the same name may have been, too
	// Devices are its physical volumes, wherever they are: with what is claimed for it, all that LVM needs to see.
	Devices []string
	// Problem says why neither the group may be used nor a new one made, for people; "" when one of them may.
	Problem string
}

// Groups says for each pool which volume group is its own. A pool that names devices has the group of its name which has
// a physical volume on one of them: a group of that name elsewhere, as a tenant could make it on a disk of his own, is
// not adopted. A pool that names none has the only group of that name.
func Groups(s Survey) []Group {
	groups := make([]Group, len(s.Pools))
	for i, p := range s.Pools {
		groups[i] = s.group(p)
	}
	return groups
}

func (s Survey) group(p config.Pool) Group {
	g := Group{Pool: p.Name, Name: p.VolumeGroup}
	var all, ours []lvm.VolumeGroup
	for _, vg := range s.Report.VolumeGroups {
		if vg.Name != p.VolumeGroup {
			continue
		}
		all = append(all, vg)
		if len(p.Devices.Paths) == 0 || slices.ContainsFunc(s.devices(vg), func(d Disk) bool { return named(p, d) }) {
			ours = append(ours, vg)
		}
	}
	switch {
	case len(ours) == 1:
		g.Exists, g.UUID, g.VG = true, ours[0].UUID, ours[0]
		if why := untouchable(ours[0]); why != "" {
			g.Problem = "volume group " + p.VolumeGroup + " " + why
		}
		for _, d := range s.devices(ours[0]) {
			g.Devices = append(g.Devices, d.Path)
		}
	case len(ours) > 1:
		g.Problem = fmt.Sprintf("%d volume groups have the name %s: %s (vgrename(8) takes the UUID of the one to rename)",
			len(ours), p.VolumeGroup, s.whereabouts(ours))
	case len(all) > 0:
		g.Problem = fmt.Sprintf("a volume group of the name %s exists on devices that the pool's devices.paths do not match: %s",
			p.VolumeGroup, s.whereabouts(all))
	case len(p.Devices.Paths) == 0:
		g.Problem = fmt.Sprintf("volume group %s does not exist, and the pool names no devices to make it of", p.VolumeGroup)
	}
	return g
}

// untouchable says why a group must not be used from here although it is there; "" when it may.
func untouchable(vg lvm.VolumeGroup) string {
	switch {
	case vg.Exported:
		return "is exported (vgimport(8) takes it back)"
	case vg.SystemID != "":
		return fmt.Sprintf("belongs to host %q (lvmsystemid(7); vgchange --systemid \"\" gives it to any)", vg.SystemID)
	}
	return ""
}

// devices are the disks that a group's physical volumes are on, without those that are missing.
func (s Survey) devices(vg lvm.VolumeGroup) []Disk {
	var found []Disk
	for _, pv := range vg.PVs {
		if d, ok := s.disk(pv); ok {
			found = append(found, d)
		}
	}
	return found
}

func (s Survey) disk(pv lvm.PhysicalVolume) (Disk, bool) {
	i := slices.IndexFunc(s.Disks, func(d Inspected) bool { return slices.Contains(d.names(), pv.Device) })
	if i < 0 || pv.Missing && !pv.Silent {
		return Disk{}, false
	}
	return s.Disks[i].Disk, true
}

func (s Survey) whereabouts(groups []lvm.VolumeGroup) string {
	all := make([]string, 0, len(groups))
	for _, vg := range groups {
		var paths []string
		for _, d := range s.devices(vg) {
			paths = append(paths, d.Path)
		}
		all = append(all, vg.UUID+" on "+cmp.Or(strings.Join(paths, " and "), "no disk of this node"))
	}
	return strings.Join(all, ", ")
}

// member returns the group that a disk is a physical volume of.
func (s Survey) member(d Disk) (lvm.VolumeGroup, bool) {
	for _, vg := range s.Report.VolumeGroups {
		for _, on := range s.devices(vg) {
			if on.Path == d.Path {
				return vg, true
			}
		}
	}
	return lvm.VolumeGroup{}, false
}
