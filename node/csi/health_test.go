package csi

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
)

func TestAilmentsOfAVolume(t *testing.T) {
	group := func(poolHealth lvm.Health, pvs ...lvm.PhysicalVolume) lvm.VolumeGroup {
		vg := lvm.VolumeGroup{Name: "g", PVs: pvs, LVs: []lvm.LogicalVolume{{Name: "pool", Segment: lvm.ThinPool, Active: true, Health: poolHealth}}}
		for _, pv := range pvs {
			if pv.Missing {
				vg.MissingPVs++
			}
		}
		return vg
	}
	good, missing, silent := lvm.PhysicalVolume{}, lvm.PhysicalVolume{Missing: true}, lvm.PhysicalVolume{Missing: true, Silent: true}
	thin := lvm.LogicalVolume{Name: "v", Segment: lvm.Thin, Active: true}
	thick, inactive, failed, suspended, partial := thin, thin, thin, thin, thin
	thick.Segment = lvm.Linear
	inactive.Active = false
	failed.Health = lvm.Failed
	suspended.Suspended = true
	partial.Health = lvm.PartialLV
	for _, c := range []struct {
		name   string
		lv     lvm.LogicalVolume
		vg     lvm.VolumeGroup
		reason string
		lost   bool
	}{
		{"well", thin, group(lvm.Healthy, good), "", false},
		{"not active", inactive, group(lvm.Healthy, good), "", false},
		{"a disk hangs", thick, group(lvm.Healthy, good, silent), "DeviceSilent", true},
		{"its disk is missing", partial, group(lvm.Healthy, good, missing), "DeviceMissing", true},
		{"another disk of the group is missing", thick, group(lvm.Healthy, good, missing), "", false},
		{"another disk of its thin pool's group is missing", thin, group(lvm.Healthy, good, missing), "DeviceMissing", false},
		{"all disks are missing", thin, group(lvm.Healthy, missing), "DeviceMissing", true},
		{"full pool", thin, group(lvm.OutOfData, good), "OutOfData", false},
		{"a full pool beside it", thick, group(lvm.OutOfData, good), "", false},
		{"read-only pool", thin, group(lvm.MetadataReadOnly, good), "PoolReadOnly", false},
		{"unchecked pool", thin, group(lvm.NeedsCheck, good), "PoolNeedsCheck", false},
		{"failed pool", thin, group(lvm.Failed, good), "PoolFailed", true},
		{"unknown to its pool", failed, group(lvm.Healthy, good), "VolumeFailed", true},
		{"suspended", suspended, group(lvm.Healthy, good), "Suspended", true},
	} {
		got := ailments(pool.Volume{Group: "g", LV: c.lv}, c.vg)
		switch {
		case c.reason == "" && len(got) > 0, c.reason != "" && (len(got) != 1 || got[0].reason != c.reason || got[0].lost != c.lost || got[0].message == ""):
			t.Errorf("%s: %+v, want %q, lost %v", c.name, got, c.reason, c.lost)
		}
	}
}

func TestOneAilmentOfManyPoolsIsToldOnce(t *testing.T) {
	var all []*backendHealth
	all = withBackend(all, "a", ailment{"OutOfData", false, "full"})
	all = withBackend(all, "b", ailment{"DeviceMissing", true, "gone"})
	all = withBackend(all, "c", ailment{"OutOfData", false, "full"})
	if len(all) != 2 || all[0].GetMessage() != "pool a: full; pool c: full" || all[0].GetStatus() != csi.StorageHealthErrorType_STORAGE_DEGRADED ||
		all[1].GetStatus() != csi.StorageHealthErrorType_STORAGE_UNREACHABLE {
		t.Errorf("%+v", all)
	}
}
