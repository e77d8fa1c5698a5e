package pool

import (
	"reflect"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
)

func TestDisksBecomeAGroupOrJoinOne(t *testing.T) {
	p := configured(t, "type: thin")
	vg := group(100*lvm.GiB, 100*lvm.GiB)
	exported, broken := vg, vg
	exported.Exported = true
	broken.MissingPVs = 1
	for _, c := range []struct {
		name   string
		vg     lvm.VolumeGroup
		exists bool
		disks  []string
		want   groupStep
	}{
		{"nothing to claim", lvm.VolumeGroup{}, false, nil, groupStep{}},
		{"first disk", lvm.VolumeGroup{}, false, []string{"/dev/a"}, groupStep{create: &lvm.CreateGroup{
			Name: "loam-p", Devices: []string{"/dev/a"}, MetadataSize: pvMetadata, Tags: []string{volume.PoolTag("p")},
		}}},
		{"another disk", vg, true, []string{"/dev/b"}, groupStep{extend: []string{"/dev/b"}}},
		{"an exported group is not touched", exported, true, []string{"/dev/b"}, groupStep{}},
		{"nor one with a disk missing", broken, true, []string{"/dev/b"}, groupStep{}},
	} {
		if got := planGroup(p, c.vg, c.exists, c.disks); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestThinPoolTakesAllButTheReserve(t *testing.T) {
	vg := group(100*lvm.GiB, 100*lvm.GiB)
	step := planPool(configured(t, "type: thin, reserve: 5%"), vg)
	if step.create == nil {
		t.Fatal("no pool is made in an empty group")
	}
	used := step.create.Size + 2*step.create.MetadataSize
	if used > 95*lvm.GiB || used < 94*lvm.GiB {
		t.Errorf("data and twice the metadata are %v of 100 GiB, want all but the reserve of 5 GiB", used)
	}
	if step := planPool(configured(t, "type: thick"), vg); step.create != nil {
		t.Errorf("a thick pool got a thin pool %+v", step.create)
	}
}

func TestRemainsOfAThinPoolAreRemovedBeforeItIsMadeAgain(t *testing.T) {
	p := configured(t, "type: thin, reserve: 5%")
	whole := planPool(p, group(100*lvm.GiB, 100*lvm.GiB)).create
	tag := []string{volume.PoolTag(p.Name)}
	spare := lvm.LogicalVolume{Name: "lvol0_pmspare", Segment: lvm.Linear, Hidden: true, Size: lvm.GiB}
	first := lvm.LogicalVolume{Name: "lvol0", Segment: lvm.Linear, Size: lvm.GiB}
	metadata := lvm.LogicalVolume{Name: LogicalVolume, Segment: lvm.Linear, Size: lvm.GiB, Tags: tag}
	open, theirs, named := metadata, metadata, first
	open.Open, theirs.Tags, named.Tags = true, nil, []string{"theirs"}
	for _, c := range []struct {
		name  string
		lvs   []lvm.LogicalVolume
		seqno int64
		want  []string
	}{
		{"the spare metadata, not hidden yet", []lvm.LogicalVolume{first}, 2, []string{"lvol0"}},
		{"the spare metadata", []lvm.LogicalVolume{spare}, 3, nil},
		{"the pool's metadata, too", []lvm.LogicalVolume{spare, metadata}, 4, []string{LogicalVolume}},
		{"a volume that has LVM's own name in a group that was used", []lvm.LogicalVolume{first}, 3, nil},
		{"a volume that has a tag", []lvm.LogicalVolume{named}, 2, nil},
		{"a volume in use", []lvm.LogicalVolume{open}, 4, nil},
		{"a volume of that name that is not ours", []lvm.LogicalVolume{theirs}, 4, nil},
	} {
		vg := group(100*lvm.GiB, 100*lvm.GiB)
		vg.Tags, vg.Seqno, vg.LVs = tag, c.seqno, c.lvs
		for _, lv := range c.lvs {
			vg.Free -= lv.Size
		}
		step := planPool(p, vg)
		if !reflect.DeepEqual(step.remove, c.want) {
			t.Errorf("%s: removes %q, want %q", c.name, step.remove, c.want)
		}
		if (c.want != nil || c.lvs[0].Hidden) && !reflect.DeepEqual(step.create, whole) {
			t.Errorf("%s: makes %+v, want %+v", c.name, step.create, whole)
		}
	}
}

func TestThinPoolFollowsItsGroup(t *testing.T) {
	p := configured(t, "type: thin, reserve: 5%")
	ours := withThinPool(group(200*lvm.GiB, 5*lvm.GiB, 100*lvm.GiB), 94*lvm.GiB, lvm.GiB)
	step := planPool(p, ours)
	if step.extend == nil || step.extend.Size < 180*lvm.GiB || step.extend.Size > 190*lvm.GiB {
		t.Errorf("a disk of 100 GiB was added and the pool of 94 GiB becomes %+v", step.extend)
	}
	full := withThinPool(group(100*lvm.GiB, 5*lvm.GiB+8*lvm.MiB), 94*lvm.GiB, lvm.GiB)
	if step := planPool(p, full); step.extend != nil {
		t.Errorf("what rounding left over was added to the pool: %+v", step.extend)
	}
	adopted := withThinPool(group(200*lvm.GiB, 100*lvm.GiB), 94*lvm.GiB, lvm.GiB)
	adopted.LVs[0].Tags = nil
	if step := planPool(p, adopted); step.extend != nil || step.create != nil {
		t.Errorf("somebody else's pool is changed: %+v", step)
	}
}

func TestRebootLeavesNothingInactiveButSnapshots(t *testing.T) {
	vg := withThinPool(group(100*lvm.GiB, 5*lvm.GiB), 94*lvm.GiB, 0)
	vg = withThin(vg, volume.Record{Kind: volume.Volume, Name: "a"}, lvm.GiB)
	vg = withThin(vg, volume.Record{Kind: volume.Snapshot, Name: "s"}, lvm.GiB)
	vg = withThin(vg, volume.Record{Kind: volume.Volume, Name: "b"}, lvm.GiB)
	vg.LVs = append(vg.LVs, lvm.LogicalVolume{Name: "root", Segment: lvm.Linear, Size: lvm.GiB})
	for i := range vg.LVs {
		vg.LVs[i].Active = false
	}
	want := []string{LogicalVolume, "a", "b"}
	if got := planPool(configured(t, "type: thin"), vg).activate; !reflect.DeepEqual(got, want) {
		t.Errorf("activates %q, want %q", got, want)
	}
}

func TestWhatCannotBeChangedInPlaceIsSaid(t *testing.T) {
	thin := withThinPool(group(100*lvm.GiB, 5*lvm.GiB), 94*lvm.GiB, 0)
	thin.LVs[0].ChunkSize, thin.LVs[0].Stripes = 64*lvm.KiB, 1
	thick := group(100*lvm.GiB, 50*lvm.GiB)
	thick.LVs = []lvm.LogicalVolume{{Name: "a", Segment: lvm.Linear, Tags: volume.Record{Kind: volume.Volume, Name: "a"}.Tags()}}
	others := group(100*lvm.GiB, 50*lvm.GiB)
	others.LVs = []lvm.LogicalVolume{{Name: "root", Segment: lvm.Linear}}
	for _, c := range []struct {
		settings      string
		vg            lvm.VolumeGroup
		problem, note string
	}{
		{"type: thin", thin, "", ""},
		{"type: thick", thick, "", ""},
		{"type: thin", others, "", ""},
		{"type: thin", group(lvm.GiB, lvm.GiB), "", ""},
		{"type: thick", thin, "made thin", ""},
		{"type: thin", thick, "has thick volumes", ""},
		{"type: thin, thin: {chunkSize: 128Ki}", thin, "", "stays 64 KiB"},
		{"type: thin, stripes: 2", thin, "", "stays 1"},
	} {
		problem, note := unlike(configured(t, c.settings), c.vg)
		if !strings.Contains(problem, c.problem) || !strings.Contains(note, c.note) || (problem == "") != (c.problem == "") || (note == "") != (c.note == "") {
			t.Errorf("%s: problem %q, note %q; want %q, %q", c.settings, problem, note, c.problem, c.note)
		}
	}
}
