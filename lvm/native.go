package lvm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A report is read here, without a process, from the labels and metadata areas of the devices and from device-mapper. It
// is vouched for only as long as everything is as a healthy machine has it: all devices are there and can be read, each
// checksum is right, all copies of a group's metadata are alike and name exactly the devices that are there, and nothing
// is of a kind that is not known. LVM itself is asked otherwise: it alone decides what damaged or missing parts mean.

// errUnsure says that LVM is to be asked.
var errUnsure = errors.New("LVM has to be asked")

// attempts is how often reading begins anew because something was written meanwhile.
const attempts = 5

// reader reads reports. It is for one goroutine. Of devices that do not answer it reports what they said last, and that they
// are silent; what never answered is not in the report, as LVM would not come back with one either. Packages that act on what
// is missing know such a device from the scan of the disks, and its group from the last backup.
type reader struct {
	asked  *Questions
	disks  map[string]disk        // by path
	groups map[string]VolumeGroup // as last read, by name
	hung   map[string]bool        // groups with devices that do not answer, by name
}

func newReader(asked *Questions) reader {
	return reader{asked: asked, disks: map[string]disk{}, groups: map[string]VolumeGroup{}, hung: map[string]bool{}}
}

// report reads what LVM would report of those devices. Errors: errUnsure, and others that mean the same.
func (r *reader) report(devices []string) (Report, error) {
	for range attempts {
		report, again, err := r.reportLocked(devices)
		if err != nil || !again {
			return report, err
		}
	}
	return Report{}, fmt.Errorf("the groups changed %d times while they were read: %w", attempts, errUnsure)
}

// reportLocked makes a report while nobody changes the groups that there were the last time. again says that there are others now.
func (r *reader) reportLocked(devices []string) (report Report, again bool, err error) {
	groups := groupNames(r.last(devices))
	unlock, err := lockGroups(lockFolder, groups, lockPatience)
	defer unlock()
	if err != nil && !errors.Is(err, ErrLocked) {
		return Report{}, false, err
	}
	disks, err := r.readAll(devices)
	if err != nil {
		return Report{}, false, err
	}
	if !slices.Equal(groups, groupNames(disks)) {
		return Report{}, true, nil
	}
	report, err = assemble(devices, disks)
	if err != nil {
		return Report{}, false, err
	}
	for i, vg := range report.VolumeGroups {
		if report.VolumeGroups[i], err = r.complete(vg); err != nil {
			return Report{}, false, err
		}
	}
	return report, false, nil
}

// complete adds what the kernel knows of a group's volumes, or what it knew when they last answered.
func (r *reader) complete(vg VolumeGroup) (VolumeGroup, error) {
	if vg.Silent() {
		return r.lastOf(vg), nil
	}
	whole, err := ask(r.asked, "volume group "+vg.Name, func() (VolumeGroup, error) {
		kernel, err := openControl()
		if err != nil {
			return vg, err
		}
		defer kernel.close()
		return vg, kernel.complete(&vg)
	})
	if errors.Is(err, ErrSilent) {
		return r.lastOf(vg), nil
	}
	if err == nil {
		r.groups[vg.Name] = whole
	}
	return whole, err
}

// lastOf is a group that does not answer, as it was when it did.
func (r *reader) lastOf(vg VolumeGroup) VolumeGroup {
	r.hung[vg.Name] = true
	last, ok := r.groups[vg.Name]
	if !ok || last.UUID != vg.UUID {
		last = vg
	}
	last = Report{VolumeGroups: []VolumeGroup{last}}.clone().VolumeGroups[0]
	quiet := func(of VolumeGroup, uuid string) bool {
		return slices.ContainsFunc(of.PVs, func(pv PhysicalVolume) bool { return pv.Silent && pv.UUID == uuid })
	}
	last.MissingPVs = 0
	for i := range last.PVs {
		if pv := &last.PVs[i]; !vg.Silent() || quiet(vg, pv.UUID) {
			pv.Missing, pv.Silent = true, true
			last.MissingPVs++
		}
	}
	last.Partial = true
	return last
}

// hanging are the groups that did not answer, for a report that LVM makes of the others.
func (r *reader) hanging() (all []VolumeGroup) {
	for _, name := range slices.Sorted(maps.Keys(r.hung)) {
		if last, ok := r.groups[name]; ok {
			all = append(all, r.lastOf(last))
		}
	}
	return all
}

// unanswering are the devices that nobody must wait for: those that do not answer, and the others of the same groups.
func (r *reader) unanswering() (paths []string) {
	for path, d := range r.disks {
		if d.silent || r.hung[d.group.Name] {
			paths = append(paths, path)
		}
	}
	return paths
}

func groupNames(disks []disk) []string {
	names := map[string]bool{}
	for _, d := range disks {
		if d.hasGroup() {
			names[d.group.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// last is what those devices were when they were last read.
func (r *reader) last(devices []string) []disk {
	disks := make([]disk, len(devices))
	for i, path := range devices {
		disks[i] = r.disks[path]
	}
	return disks
}

// readAll reads the heads of all devices, and the metadata of those whose heads have changed.
func (r *reader) readAll(devices []string) ([]disk, error) {
	until := time.Now().Add(patience)
	answers := make([]func(time.Time) (disk, error), len(devices))
	for i, path := range devices {
		before := r.disks[path]
		answers[i] = Pose(r.asked, path, func() (disk, error) { return readDisk(path, before) })
	}
	disks, hung := make([]disk, len(devices)), map[string]bool{}
	for i, path := range devices {
		d, err := answers[i](until)
		if errors.Is(err, ErrSilent) {
			d, err = r.disks[path], nil
			d.silent = true
			if d.hasGroup() {
				hung[d.group.Name] = true
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		disks[i] = d
	}
	r.hung, r.disks = hung, make(map[string]disk, len(devices))
	for i, path := range devices {
		r.disks[path] = disks[i]
	}
	return disks, nil
}
