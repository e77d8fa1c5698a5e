package lvmtest

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// same compares reports, of which LVM may list volumes in another order.
func same(a, b lvm.Report) bool {
	sorted := func(r lvm.Report) map[string]lvm.LogicalVolume {
		lvs := map[string]lvm.LogicalVolume{}
		for _, vg := range r.VolumeGroups {
			for _, lv := range vg.LVs {
				lvs[vg.Name+"/"+lv.Name] = lv
			}
		}
		return lvs
	}
	bare := func(r lvm.Report) (vgs []lvm.VolumeGroup) {
		for _, vg := range r.VolumeGroups {
			vg.LVs, vg.PVs = nil, slices.Clone(vg.PVs)
			// LVM's text of the same facts may vary by a few bytes: it counts its changes.
			vg.MetadataFree = vg.MetadataFree.RoundUp(lvm.MiB)
			vgs = append(vgs, vg)
		}
		return vgs
	}
	return reflect.DeepEqual(sorted(a), sorted(b)) && reflect.DeepEqual(bare(a), bare(b)) && reflect.DeepEqual(a.Unused, b.Unused)
}

func reportOfBlankDevicesIsEmpty(s *suite) {
	if r := s.report(); len(r.VolumeGroups)+len(r.Unused) > 0 {
		s.Errorf("blank devices were reported as %+v", r)
	}
}

func reportOfNoDevicesIsEmpty(s *suite) {
	s.makeGroup(1)
	s.l.SetDevices(nil)
	if r := s.report(); len(r.VolumeGroups)+len(r.Unused) > 0 {
		s.Errorf("with no device allowed the report has %+v", r)
	}
	if err := s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: lvm.MiB}); err == nil {
		s.Error("a volume was made with no device allowed")
	}
	s.l.SetDevices(s.devices)
	s.vg()
}

func reportEndsWithItsContext(s *suite) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.l.Report(ctx); !errors.Is(err, context.Canceled) {
		s.Errorf("the error is %v, expected context.Canceled", err)
	}
}

func groupIsMadeAsAsked(s *suite) {
	s.must(s.l.CreateGroup(lvm.CreateGroup{
		Name: groupName, Devices: s.devices[:2], ExtentSize: 8 * lvm.MiB, MetadataSize: 16 * lvm.MiB, Tags: []string{"b=1", "a"},
	}))
	vg := s.vg()
	if vg.ExtentSize != 8*lvm.MiB || vg.UUID == "" || vg.SystemID != "" || vg.Exported || vg.Partial || vg.MissingPVs != 0 {
		s.Errorf("unexpected: %+v", vg)
	}
	if !slices.Equal(vg.Tags, []string{"a", "b=1"}) {
		s.Errorf("tags are %q", vg.Tags)
	}
	if vg.MetadataSize < 16*lvm.MiB || vg.MetadataSize > 18*lvm.MiB || vg.MetadataFree < 7*lvm.MiB || vg.MetadataFree > 9*lvm.MiB {
		s.Errorf("metadata area is %v with %v free, expected 16 MiB with half of it free", vg.MetadataSize, vg.MetadataFree)
	}
	if vg.Size != vg.Free || vg.Size%vg.ExtentSize != 0 || vg.Size < 2*(SuiteDiskSize-32*lvm.MiB) {
		s.Errorf("size is %v, free %v", vg.Size, vg.Free)
	}
	var sum lvm.Bytes
	for i, pv := range vg.PVs {
		sum += pv.Size
		if !slices.Contains(s.devices[:2], pv.Device) || pv.UUID == "" || pv.Missing || pv.Duplicate || !pv.Allocatable || pv.Free != pv.Size {
			s.Errorf("physical volume %d: %+v", i, pv)
		}
	}
	if len(vg.PVs) != 2 || sum != vg.Size {
		s.Errorf("%d physical volumes of %v together, expected 2 of %v", len(vg.PVs), sum, vg.Size)
	}
}

func groupGrowsByDevices(s *suite) {
	s.makeGroup(1)
	before := s.vg()
	s.must(s.l.ExtendGroup(groupName, 16*lvm.MiB, s.devices[1], s.devices[2]))
	after := s.vg()
	if len(after.PVs) != 3 || after.Size <= 2*before.Size || after.Free != after.Size || after.UUID != before.UUID {
		s.Errorf("grown from %+v to %+v", before, after)
	}
	if after.MetadataSize != before.MetadataSize {
		s.Errorf("the smallest metadata area is %v, expected still %v", after.MetadataSize, before.MetadataSize)
	}
	s.must(s.l.ExtendGroup(groupName, 0)) // no devices: nothing to do
	s.refused(byLVM, attempts{"adding a device twice": func() error { return s.l.ExtendGroup(groupName, 0, s.devices[1]) }})
}

func groupIsMadeOfAllowedBlankDevicesOnly(s *suite) {
	s.l.SetDevices(s.devices[:2])
	s.makeGroup(1)
	create := func(name string, devices ...string) func() error {
		return func() error { return s.l.CreateGroup(lvm.CreateGroup{Name: name, Devices: devices}) }
	}
	s.refused(byLVM, attempts{
		"a device that is not allowed": create("other", s.devices[2]),
		"a device of another group":    create("other", s.devices[:2]...),
		"a group's name that is taken": create(groupName, s.devices[1]),
		"a device that does not exist": func() error { return s.l.ExtendGroup(groupName, 0, "/dev/no/such-disk") },
	})
	s.refused(byName, attempts{"no device": create("other")})
}

// groupThatDoesNotExistLeavesPhysicalVolumes: LVM makes physical volumes before it looks for the group.
func groupThatDoesNotExistLeavesPhysicalVolumes(s *suite) {
	s.makeGroup(1)
	if err := s.l.ExtendGroup("other", 0, s.devices[1]); err == nil {
		s.Error("a group that does not exist was extended")
	}
	r := s.report()
	if len(r.Unused) != 1 || r.Unused[0].Device != s.devices[1] || r.Unused[0].Size <= 0 || r.Unused[0].UUID == "" {
		s.Errorf("physical volumes in no group: %+v", r.Unused)
	}
	s.must(s.l.ExtendGroup(groupName, 0, s.devices[1]))
	if r := s.report(); len(r.Unused) != 0 || len(s.vg().PVs) != 2 {
		s.Errorf("added to its group at last: %+v", r)
	}
}

func physicalVolumesAreCleared(s *suite) {
	s.makeGroup(1)
	_ = s.l.ExtendGroup("other", 0, s.devices[1], s.devices[2]) // leaves physical volumes
	s.must(s.l.Clear(groupName, s.devices[1]))
	if r := s.report(); len(r.Unused) != 1 || r.Unused[0].Device != s.devices[2] {
		s.Errorf("physical volumes in no group: %+v", r.Unused)
	}
	s.must(s.l.Clear(groupName))               // no devices: nothing to do
	s.must(s.l.Clear(groupName, s.devices[1])) // it is blank now, and stays so
	s.must(s.l.ExtendGroup(groupName, 0, s.devices[1]))
}

// pathsThatDoNotExistAreIgnored: a disk that was pulled out does not stop the others.
func pathsThatDoNotExistAreIgnored(s *suite) {
	s.l.SetDevices([]string{"/dev/no/such-disk", s.devices[0], "/dev/no-such-disk"})
	s.makeGroup(1)
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: 4 * lvm.MiB}))
	s.must(s.l.Flush(groupName))
	if vg := s.vg(); vg.Partial || len(vg.LVs) != 1 {
		s.Errorf("unexpected: %+v", vg)
	}
	s.l.SetDevices([]string{"/dev/no/such-disk"})
	if r := s.report(); len(r.VolumeGroups)+len(r.Unused) > 0 {
		s.Errorf("with no existing device allowed the report has %+v", r)
	}
	s.l.SetDevices(s.devices)
}

// devicesThatAreNotAllowedAreMissing: what LVM may not look at is not there.
func devicesThatAreNotAllowedAreMissing(s *suite) {
	s.makeGroup(2)
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "wide", Size: 8 * lvm.MiB, Stripes: 2}))
	s.must(s.l.Deactivate(groupName, "wide"))
	s.l.SetDevices(s.devices[:1])
	vg := s.vg()
	missing := slices.IndexFunc(vg.PVs, func(pv lvm.PhysicalVolume) bool { return pv.Missing })
	if !vg.Partial || vg.MissingPVs != 1 || len(vg.PVs) != 2 || missing < 0 {
		s.Fatalf("a group with a missing device: %+v", vg)
	}
	if vg.PVs[missing].Device != "[unknown]" || vg.PVs[missing].UUID == "" {
		s.Errorf("the missing device: %+v", vg.PVs[missing])
	}
	if lv, _ := vg.LV("wide"); lv.Health != lvm.PartialLV {
		s.Errorf("a volume on a missing device has health %q", lv.Health)
	}
	s.refused(byLVM, attempts{"a new volume beside a missing device": func() error {
		return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "more", Size: 4 * lvm.MiB})
	}})
	s.l.SetDevices(s.devices)
	if vg := s.vg(); vg.Partial || vg.MissingPVs != 0 {
		s.Errorf("the device is back, but: %+v", vg)
	}
}
