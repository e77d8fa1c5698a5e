package lvm

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// assemble makes a report of all but what the kernel knows.
func assemble(devices []string, disks []disk) (Report, error) {
	a := assembly{groups: map[string]*VolumeGroup{}, sums: map[string]uint32{}, paths: map[string]string{}, silent: map[string]bool{}}
	for i, d := range disks {
		if d.silent {
			continue
		}
		if err := a.add(devices[i], d); err != nil {
			return Report{}, fmt.Errorf("%s: %w", devices[i], err)
		}
	}
	for i, d := range disks {
		if d.silent {
			a.addSilent(devices[i], d)
		}
	}
	return a.report(devices, disks)
}

type assembly struct {
	groups  map[string]*VolumeGroup // by name
	sums    map[string]uint32       // of their metadata
	paths   map[string]string       // of physical volumes, by UUID
	silent  map[string]bool         // those that did not answer, by UUID
	numbers []deviceNumber
}

func (a *assembly) add(path string, d disk) error {
	if slices.Contains(a.numbers, d.number) {
		return fmt.Errorf("named twice: %w", errUnsure)
	}
	a.numbers = append(a.numbers, d.number)
	if d.uuid == "" {
		return nil
	}
	if other, ok := a.paths[d.uuid]; ok {
		return fmt.Errorf("has the same UUID as %s: %w", other, errUnsure)
	}
	a.paths[d.uuid] = path
	if !d.hasGroup() {
		return nil
	}
	g := a.begin(d)
	if g.UUID != d.group.UUID || a.sums[g.Name] != d.sum {
		return fmt.Errorf("its metadata of %s is not that of another device: %w", g.Name, errUnsure)
	}
	for _, area := range d.areas {
		g.MetadataSize, g.MetadataFree = min(g.MetadataSize, Bytes(area.Size)), min(g.MetadataFree, area.free())
	}
	return nil
}

// begin is the group that a device belongs to.
func (a *assembly) begin(d disk) *VolumeGroup {
	g, ok := a.groups[d.group.Name]
	if !ok {
		clone := Report{VolumeGroups: []VolumeGroup{d.group}}.clone().VolumeGroups[0]
		g = &clone
		g.MetadataSize, g.MetadataFree = 1<<62, 1<<62
		a.groups[g.Name], a.sums[g.Name] = g, d.sum
	}
	return g
}

// addSilent adds what a device said last: what others say of the group is newer.
func (a *assembly) addSilent(path string, d disk) {
	if _, ok := a.paths[d.uuid]; ok || d.uuid == "" {
		return
	}
	a.paths[d.uuid], a.silent[d.uuid] = path, true
	if d.hasGroup() {
		a.begin(d)
	}
}

// report sees to it that groups and devices name one another.
func (a *assembly) report(devices []string, disks []disk) (Report, error) {
	var r Report
	members := map[string]string{} // the group of each physical volume, by UUID
	for _, name := range slices.Sorted(maps.Keys(a.groups)) {
		g := a.groups[name]
		for i := range g.PVs {
			pv := &g.PVs[i]
			path, ok := a.paths[pv.UUID]
			if other, taken := members[pv.UUID]; !ok || taken {
				return Report{}, fmt.Errorf("physical volume %s of %s is missing, or also of %q: %w", pv.UUID, name, other, errUnsure)
			}
			pv.Device, members[pv.UUID] = path, name
			if a.silent[pv.UUID] {
				pv.Missing, pv.Silent = true, true
				g.MissingPVs++
				g.Partial = true
			}
		}
		slices.SortFunc(g.PVs, func(a, b PhysicalVolume) int { return cmp.Compare(a.Device, b.Device) })
		r.VolumeGroups = append(r.VolumeGroups, *g)
	}
	for i, d := range disks {
		if d.uuid == "" || d.silent {
			continue
		}
		if group, ok := members[d.uuid]; ok && (!d.hasGroup() || d.group.Name == group) {
			continue
		}
		if d.hasGroup() || d.used {
			return Report{}, fmt.Errorf("%s: a physical volume that its group does not know: %w", devices[i], errUnsure)
		}
		r.Unused = append(r.Unused, PhysicalVolume{Device: devices[i], UUID: d.uuid, Size: d.device, Free: d.device})
	}
	return r, nil
}
