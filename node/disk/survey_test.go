package disk

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func TestWhoseAPhysicalVolumeIs(t *testing.T) {
	configured := pools(t, `
- {name: fast, devices: {paths: [/dev/sda, /dev/sdb]}}
- {name: slow, type: thick, volumeGroup: data}
`)
	lv := heldBy("x", LV)
	for _, c := range []struct {
		name   string
		disks  []Inspected
		report lvm.Report
		want   []string // state, pool and reason of each disk
		group  string   // problem of pool fast
	}{
		{
			name:   "a pool's group, with a disk where the configuration does not look",
			disks:  []Inspected{a("/dev/sda", pv("1"), lv), a("/dev/sdb"), a("/dev/sdc", pv("2"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "U", "/dev/sda", "/dev/sdc")}},
			want:   []string{"taken fast loam-fast: ", "free fast : ", "taken fast loam-fast: "},
		}, {
			name:   "adopted by name",
			disks:  []Inspected{a("/dev/nvme0n1", pv("1"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("data", "U", "/dev/nvme0n1")}},
			want:   []string{"taken slow data: "},
		}, {
			name:   "a stranger's",
			disks:  []Inspected{a("/dev/sda", pv("1"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("other", "U", "/dev/sda")}},
			want:   []string{"refused fast other: LVM physical volume of volume group other"},
		}, {
			name:   "a group of a pool's name where the configuration does not look",
			disks:  []Inspected{a("/dev/rbd0", pv("1")), a("/dev/sda")},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "T", "/dev/rbd0")}},
			want: []string{
				"refused  loam-fast: matches no pool's devices.paths; LVM physical volume of volume group loam-fast",
				"refused fast : pool fast takes no disk: a volume group of the name loam-fast exists on devices that the pool's devices.paths do not match: T on /dev/rbd0",
			},
			group: "a volume group of the name loam-fast exists on devices that the pool's devices.paths do not match: T on /dev/rbd0",
		}, {
			name:   "the pool's own group beside a tenant's of the same name",
			disks:  []Inspected{a("/dev/rbd0", pv("1")), a("/dev/sda", pv("2"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "T", "/dev/rbd0"), vg("loam-fast", "U", "/dev/sda")}},
			want: []string{
				"refused  loam-fast: matches no pool's devices.paths; LVM physical volume of volume group loam-fast",
				"taken fast loam-fast: ",
			},
		}, {
			name:   "two groups of one name",
			disks:  []Inspected{a("/dev/sda", pv("1")), a("/dev/sdb", pv("2"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "T", "/dev/sda"), vg("loam-fast", "U", "/dev/sdb")}},
			want: []string{
				"refused fast loam-fast: LVM physical volume of volume group loam-fast; pool fast takes no disk: 2 volume groups have the name loam-fast: T on /dev/sda, U on /dev/sdb (vgrename(8) takes the UUID of the one to rename)",
				"refused fast loam-fast: LVM physical volume of volume group loam-fast; pool fast takes no disk: 2 volume groups have the name loam-fast: T on /dev/sda, U on /dev/sdb (vgrename(8) takes the UUID of the one to rename)",
			},
			group: "2 volume groups have the name loam-fast: T on /dev/sda, U on /dev/sdb (vgrename(8) takes the UUID of the one to rename)",
		}, {
			name:   "exported",
			disks:  []Inspected{a("/dev/sda", pv("1"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{func() lvm.VolumeGroup { g := vg("loam-fast", "U", "/dev/sda"); g.Exported = true; return g }()}},
			want: []string{"refused fast loam-fast: LVM physical volume of volume group loam-fast, which is exported (vgimport(8) takes it back); " +
				"pool fast takes no disk: volume group loam-fast is exported (vgimport(8) takes it back)"},
			group: "volume group loam-fast is exported (vgimport(8) takes it back)",
		}, {
			name:   "of another host",
			disks:  []Inspected{a("/dev/sdc", pv("1"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{func() lvm.VolumeGroup { g := vg("x", "U", "/dev/sdc"); g.SystemID = "h2"; return g }()}},
			want: []string{`refused  x: matches no pool's devices.paths; LVM physical volume of volume group x, which belongs to host "h2" ` +
				`(lvmsystemid(7); vgchange --systemid "" gives it to any)`},
		}, {
			name:   "a disk replaced by a blank one leaves its group with one missing, and is a new disk",
			disks:  []Inspected{a("/dev/sda", pv("1")), a("/dev/sdb")},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{{Name: "loam-fast", UUID: "U", MissingPVs: 1, PVs: []lvm.PhysicalVolume{{Device: "/dev/sda"}, {Device: "[unknown]", Missing: true}}}}},
			want:   []string{"taken fast loam-fast: ", "free fast : "},
		}, {
			name:   "a disk replaced by a stranger's",
			disks:  []Inspected{a("/dev/sda", pv("1")), a("/dev/sdb", pv("9"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "U", "/dev/sda"), vg("other", "V", "/dev/sdb")}},
			want:   []string{"taken fast loam-fast: ", "refused fast other: LVM physical volume of volume group other"},
		}, {
			name:  "copies, of which none is in use",
			disks: []Inspected{a("/dev/sda", pv("1")), a("/dev/sdc", pv("1"))},
			want: []string{
				"refused fast : carries the same LVM UUID as /dev/sdc: one is a copy of the other (vgimportclone(8) gives a copy an identity of its own)",
				"refused  : matches no pool's devices.paths; carries the same LVM UUID as /dev/sda: one is a copy of the other (vgimportclone(8) gives a copy an identity of its own)",
			},
		}, {
			name:   "a copy of a disk in use",
			disks:  []Inspected{a("/dev/sda", pv("1"), lv), a("/dev/sdb", pv("1"))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "U", "/dev/sda")}},
			want: []string{
				"taken fast loam-fast: ",
				"refused fast : carries the same LVM UUID as /dev/sda: one is a copy of the other (vgimportclone(8) gives a copy an identity of its own)",
			},
		}, {
			name:   "the members of an array carry its label",
			disks:  []Inspected{a("/dev/md0", pv("1")), a("/dev/sda", pv("1"), heldBy("md0", MD))},
			report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("data", "U", "/dev/md0")}},
			want:   []string{"taken slow data: ", "refused fast : in use by md0; holds an LVM physical volume"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Survey{Disks: c.disks, Pools: configured, Report: c.report}
			for i, v := range Assess(s) {
				if got := fmt.Sprintf("%s %s %s: %s", v.State, v.Pool, v.VolumeGroup, v.Reason()); got != c.want[i] {
					t.Errorf("%s:\ngot  %s\nwant %s", c.disks[i].Path, got, c.want[i])
				}
			}
			if g := Groups(s)[0]; g.Problem != c.group {
				t.Errorf("pool fast: %q, want %q", g.Problem, c.group)
			}
		})
	}
}

func TestGroupsNameTheDevicesThatLVMNeeds(t *testing.T) {
	s := Survey{
		Pools: pools(t, "- {name: fast, devices: {paths: [/dev/disk/by-id/x]}}\n- {name: new, devices: {paths: [/dev/sdd]}}\n- {name: kept, volumeGroup: gone}\n"),
		Disks: []Inspected{
			a("/dev/sda", pv("1"), func(d *Inspected) { d.Links = []string{"/dev/disk/by-id/x"} }),
			a("/dev/mapper/mpatha", pv("2"), func(d *Inspected) { d.Links = []string{"/dev/dm-3"} }),
		},
		Report: lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "U", "/dev/sda", "/dev/dm-3")}},
	}
	want := []Group{
		{Pool: "fast", Name: "loam-fast", UUID: "U", Exists: true, VG: s.Report.VolumeGroups[0], Devices: []string{"/dev/sda", "/dev/mapper/mpatha"}},
		{Pool: "new", Name: "loam-new"},
		{Pool: "kept", Name: "gone", Problem: "volume group gone does not exist, and the pool names no devices to make it of"},
	}
	if got := Groups(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestCandidatesAreLabelsOnDisksThatAreNobodyElses(t *testing.T) {
	disks := []Inspected{
		a("/dev/sda", pv("1")), a("/dev/sdb", pv("2"), heldBy("v", LV)), a("/dev/sdc", pv("3"), heldBy("md0", MD)), a("/dev/md0", pv("3")),
		a("/dev/sdd"), a("/dev/sde", pv("4")), a("/dev/sdf", pv("4")), a("/dev/sdg", pv("2")),
		a("/dev/sdh", pv("5"), func(d *Inspected) { d.Err = ErrSilent }),
	}
	if got, want := Candidates(disks), []string{"/dev/sda", "/dev/sdb", "/dev/md0"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
