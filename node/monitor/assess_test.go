package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
)

func configured(t *testing.T, settings string) config.Pool {
	t.Helper()
	c, err := config.Parse("test", fmt.Appendf(nil, "pools:\n- {name: p, devices: {paths: [/dev/x]}, %s}\n", settings))
	if err != nil {
		t.Fatal(err)
	}
	return c.Pools[0]
}

// thin is a group of 100 GiB with a pool of 50 GiB and so much free, in use to those percentages.
func thin(data, metadata int, free lvm.Bytes) lvm.VolumeGroup {
	return lvm.VolumeGroup{
		Name: "loam-p", Size: 100 * lvm.GiB, Free: free, ExtentSize: 4 * lvm.MiB, MetadataSize: 16 * lvm.MiB, MetadataFree: 8 * lvm.MiB,
		PVs: []lvm.PhysicalVolume{{Device: "/dev/a"}},
		LVs: []lvm.LogicalVolume{{
			Name: "pool", Segment: lvm.ThinPool, Active: true, Stripes: 1, Size: 50 * lvm.GiB, Mapped: 50 * lvm.GiB / 100 * lvm.Bytes(data),
			MetadataSize: 100 * lvm.MiB, MetadataUsed: 100 * lvm.MiB / 100 * lvm.Bytes(metadata),
		}},
	}
}

func kinds(p Plan) (all []Kind) {
	for _, c := range p.Conditions {
		all = append(all, c.Kind)
	}
	return all
}

func TestPoolsAreExtendedWhileTheirGroupHasRoom(t *testing.T) {
	for _, test := range []struct {
		name           string
		settings       string
		vg             lvm.VolumeGroup
		data, metadata lvm.Bytes // 0: as it is
		kinds          []Kind
	}{
		{"half full", "reserve: 0%", thin(50, 50, 40*lvm.GiB), 0, 0, nil},
		{"at the threshold", "reserve: 0%", thin(80, 50, 40*lvm.GiB), 60 * lvm.GiB, 0, nil},
		{"a threshold of its own", "reserve: 0%, thin: {extend: {at: 50%, by: 10%}}", thin(50, 40, 40*lvm.GiB), 55 * lvm.GiB, 0, nil},
		{"by what there is", "reserve: 0%", thin(80, 50, lvm.GiB), 51 * lvm.GiB, 0, nil},
		{"the reserve stays", "reserve: 10%", thin(80, 50, 12*lvm.GiB), 52 * lvm.GiB, 0, nil},
		{"only the reserve is left", "reserve: 10%", thin(80, 50, 10*lvm.GiB), 0, 0, []Kind{DataNearlyFull}},
		{"less than an extent", "reserve: 0%", thin(80, 50, 3*lvm.MiB), 0, 0, []Kind{DataNearlyFull}},
		{"metadata, and its spare", "reserve: 10%", thin(50, 80, 10*lvm.GiB), 0, 200 * lvm.MiB, nil},
		{"metadata, by what there is", "reserve: 0%", thin(50, 80, 100*lvm.MiB), 0, 148 * lvm.MiB, nil},
		{"no room for metadata", "reserve: 0%", thin(50, 80, 7*lvm.MiB), 0, 0, []Kind{MetadataNearlyFull}},
		{"both", "reserve: 0%", thin(90, 90, 40*lvm.GiB), 60 * lvm.GiB, 200 * lvm.MiB, nil},
		{"a thick pool", "type: thick", thin(99, 99, 40*lvm.GiB), 0, 0, nil},
		{"a disk is missing", "reserve: 0%", with(thin(90, 90, 40*lvm.GiB), func(vg *lvm.VolumeGroup) { vg.MissingPVs = 1 }), 0, 0, []Kind{DeviceMissing}},
		{"full", "reserve: 0%", ill(thin(100, 10, 40*lvm.GiB), lvm.OutOfData), 60 * lvm.GiB, 0, []Kind{OutOfData}},
		{"read-only", "reserve: 0%", ill(thin(10, 100, 40*lvm.GiB), lvm.MetadataReadOnly), 0, 200 * lvm.MiB, []Kind{ReadOnly}},
		{"to be checked", "reserve: 0%", ill(thin(90, 90, 40*lvm.GiB), lvm.NeedsCheck), 0, 0, []Kind{NeedsCheck}},
		{"failed", "reserve: 0%", ill(thin(0, 0, 40*lvm.GiB), lvm.Failed), 0, 0, []Kind{Failed}},
		{"suspended", "reserve: 0%", with(thin(10, 10, 0), func(vg *lvm.VolumeGroup) { vg.LVs[0].Suspended = true }), 0, 0, []Kind{Suspended}},
		{"no metadata left for the group", "reserve: 0%", with(thin(10, 10, 0), func(vg *lvm.VolumeGroup) { vg.MetadataFree = lvm.KiB }), 0, 0, []Kind{GroupMetadataNearlyFull}},
		{"no volume is admitted in a small metadata area", "reserve: 0%", with(thin(10, 10, 0), func(vg *lvm.VolumeGroup) { vg.MetadataSize, vg.MetadataFree = 36*lvm.KiB, 3*lvm.KiB }), 0, 0, []Kind{GroupMetadataNearlyFull}},
	} {
		plan := Assess(configured(t, test.settings), test.vg, Before{})
		var data, metadata lvm.Bytes
		if plan.Extend != nil {
			data, metadata = plan.Extend.Size, plan.Extend.MetadataSize
		}
		if data != test.data || metadata != test.metadata {
			t.Errorf("%s: extended to %v and %v, expected %v and %v", test.name, data, metadata, test.data, test.metadata)
		}
		if got := kinds(plan); !slices.Equal(got, test.kinds) {
			t.Errorf("%s: conditions %q, expected %q", test.name, got, test.kinds)
		}
	}
}

func with(vg lvm.VolumeGroup, change func(*lvm.VolumeGroup)) lvm.VolumeGroup {
	change(&vg)
	return vg
}

func ill(vg lvm.VolumeGroup, h lvm.Health) lvm.VolumeGroup {
	vg.LVs[0].Health = h
	return vg
}

// A pool says that it is nearly full before anyone asks; once, not with every write.
func TestLevelsAreToldInSteps(t *testing.T) {
	c := configured(t, "reserve: 0%")
	var before []Condition
	for _, test := range []struct {
		full, told int
	}{{79, 0}, {80, 80}, {84, 80}, {85, 85}, {83, 85}, {82, 80}, {80, 80}, {79, 80}, {78, 80}, {77, 0}, {79, 0}, {96, 95}, {94, 95}, {92, 90}, {10, 0}} {
		plan := Assess(c, thin(test.full, 10, 0), Before{Conditions: before})
		level := 0
		for _, one := range plan.Conditions {
			level = one.Level
			if !strings.Contains(one.Message, fmt.Sprintf("at least %d %%", level)) {
				t.Errorf("the message of level %d: %q", level, one.Message)
			}
		}
		if level != test.told || plan.Tight != (level > 0) {
			t.Errorf("%d %% full: told %d, expected %d; tight %v", test.full, level, test.told, plan.Tight)
		}
		before = plan.Conditions
	}
}

func TestPoolsNearAThresholdAreLookedAtSooner(t *testing.T) {
	c := configured(t, "reserve: 0%")
	for full, near := range map[int]bool{0: false, 74: false, 75: true, 80: true, 100: true} {
		if got := Assess(c, thin(full, 10, 40*lvm.GiB), Before{}).Close; got != near {
			t.Errorf("data %d %% full: close %v", full, got)
		}
		if got := Assess(c, thin(10, full, 40*lvm.GiB), Before{}).Close; got != near {
			t.Errorf("metadata %d %% full: close %v", full, got)
		}
	}
}
