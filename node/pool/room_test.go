package pool

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/volume"
)

// configured parses the settings of one pool, as an operator writes them.
func configured(t *testing.T, settings string) config.Pool {
	t.Helper()
	c, err := config.Parse("test", fmt.Appendf(nil, "pools:\n- {name: p, devices: {paths: [/dev/x]}, %s}\n", settings))
	if err != nil {
		t.Fatal(err)
	}
	return c.Pools[0]
}

// group is a volume group of 4 MiB extents with that much free on each of its physical volumes.
func group(size lvm.Bytes, free ...lvm.Bytes) lvm.VolumeGroup {
	vg := lvm.VolumeGroup{Name: "loam-p", Size: size, ExtentSize: 4 * lvm.MiB, MetadataSize: 16 * lvm.MiB, MetadataFree: 8 * lvm.MiB}
	for i, f := range free {
		vg.Free += f
		vg.PVs = append(vg.PVs, lvm.PhysicalVolume{Device: fmt.Sprintf("/dev/d%d", i), Size: size, Free: f, Allocatable: true})
	}
	return vg
}

// withThinPool adds an active thin pool of that size.
func withThinPool(vg lvm.VolumeGroup, size, mapped lvm.Bytes) lvm.VolumeGroup {
	vg.LVs = append(vg.LVs, lvm.LogicalVolume{
		Name: LogicalVolume, Segment: lvm.ThinPool, Size: size, Mapped: mapped, Active: true,
		MetadataSize: 100 * lvm.MiB, MetadataUsed: lvm.MiB, Tags: []string{volume.PoolTag("p")},
	})
	return vg
}

// withThin adds a thin volume of ours.
func withThin(vg lvm.VolumeGroup, rec volume.Record, size lvm.Bytes) lvm.VolumeGroup {
	vg.LVs = append(vg.LVs, lvm.LogicalVolume{Name: rec.Name, Segment: lvm.Thin, Pool: LogicalVolume, Size: size, Tags: rec.Tags(), Active: true})
	return vg
}

func TestThickRoomIsFreeExtentsLessTheReserve(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		vg             lvm.VolumeGroup
		want           lvm.Bytes
	}{
		{"empty", "type: thick, reserve: 10%", group(100*lvm.GiB, 100*lvm.GiB), 90 * lvm.GiB},
		{"nothing reserved", "type: thick, reserve: 0%", group(100*lvm.GiB, 40*lvm.GiB), 40 * lvm.GiB},
		{"only the reserve left", "type: thick, reserve: 10%", group(100*lvm.GiB, 8*lvm.GiB), 0},
		{"rounded down to an extent", "type: thick, reserve: 0%", group(lvm.GiB, 9*lvm.MiB), 8 * lvm.MiB},
		{"two stripes need two devices", "type: thick, reserve: 0%, stripes: 2", group(30*lvm.GiB, 20*lvm.GiB, 10*lvm.GiB), 20 * lvm.GiB},
		{"two stripes over three devices", "type: thick, reserve: 0%, stripes: 2", group(30*lvm.GiB, 10*lvm.GiB, 10*lvm.GiB, 10*lvm.GiB), 20 * lvm.GiB},
		{"three stripes over two devices", "type: thick, reserve: 0%, stripes: 3", group(20*lvm.GiB, 10*lvm.GiB, 10*lvm.GiB), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Space(configured(t, c.settings), c.vg)
			if got.Available != c.want || got.Largest != c.want {
				t.Errorf("available %v, largest %v; want %v", got.Available, got.Largest, c.want)
			}
		})
	}
}

func TestThinRoomIsWhatIsNotPromised(t *testing.T) {
	vol := func(name string) volume.Record { return volume.Record{Kind: volume.Volume, Name: name} }
	snap := volume.Record{Kind: volume.Snapshot, Name: "s", Mapped: 3 * lvm.GiB}
	base := func(mapped lvm.Bytes) lvm.VolumeGroup {
		return withThinPool(group(200*lvm.GiB, 10*lvm.GiB), 100*lvm.GiB, mapped)
	}
	for _, c := range []struct {
		name, settings string
		vg             lvm.VolumeGroup
		want           lvm.Bytes
	}{
		{"empty", "type: thin", base(0), 100 * lvm.GiB},
		{"a volume promises its size", "type: thin", withThin(base(lvm.GiB), vol("a"), 30*lvm.GiB), 70 * lvm.GiB},
		{"a snapshot promises what it held", "type: thin", withThin(withThin(base(0), vol("a"), 30*lvm.GiB), snap, 30*lvm.GiB), 67 * lvm.GiB},
		{"over-provisioned twice", "type: thin, thin: {overprovision: 2}", withThin(base(0), vol("a"), 30*lvm.GiB), 170 * lvm.GiB},
		{"promised all", "type: thin", withThin(base(0), vol("a"), 100*lvm.GiB), 0},
		{"what is used without a promise counts", "type: thin", base(40 * lvm.GiB), 60 * lvm.GiB},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Space(configured(t, c.settings), c.vg)
			if got.Available != c.want || got.Problem != "" {
				t.Errorf("available %v (%q); want %v", got.Available, got.Problem, c.want)
			}
		})
	}
}

func TestNoRoomWhenAPoolIsNotWell(t *testing.T) {
	change := func(f func(*lvm.VolumeGroup)) lvm.VolumeGroup {
		vg := withThinPool(group(200*lvm.GiB, 10*lvm.GiB), 100*lvm.GiB, lvm.GiB)
		f(&vg)
		return vg
	}
	for _, c := range []struct {
		why string
		vg  lvm.VolumeGroup
	}{
		{"exported", change(func(g *lvm.VolumeGroup) { g.Exported = true })},
		{"misses 1 of its 1", change(func(g *lvm.VolumeGroup) { g.MissingPVs = 1 })},
		{"metadata area", change(func(g *lvm.VolumeGroup) { g.MetadataFree = 100 })},
		{"no thin pool", change(func(g *lvm.VolumeGroup) { g.LVs = nil })},
		{"not active", change(func(g *lvm.VolumeGroup) { g.LVs[0].Active = false })},
		{"suspended", change(func(g *lvm.VolumeGroup) { g.LVs[0].Suspended = true })},
		{"metadata_read_only", change(func(g *lvm.VolumeGroup) { g.LVs[0].Health = lvm.MetadataReadOnly })},
		{"data is 95 % full", change(func(g *lvm.VolumeGroup) { g.LVs[0].Mapped = 95 * lvm.GiB })},
		{"metadata is 96 % full", change(func(g *lvm.VolumeGroup) { g.LVs[0].MetadataUsed = 96 * lvm.MiB })},
	} {
		room := Space(configured(t, "type: thin"), c.vg)
		if room.Available != 0 || room.Largest != 0 || !strings.Contains(room.Problem, c.why) {
			t.Errorf("available %v, problem %q; want none, and %q", room.Available, room.Problem, c.why)
		}
		if err := room.Admit(lvm.GiB); !errors.Is(err, ErrNoRoom) {
			t.Errorf("Admit = %v with %s; want ErrNoRoom", err, c.why)
		}
	}
}

func TestFit(t *testing.T) {
	const extent = 4 * lvm.MiB
	for _, c := range []struct {
		want  Range
		least lvm.Bytes
		size  lvm.Bytes // 0: ErrRange
	}{
		{Range{}, 0, lvm.GiB},
		{Range{Limit: 100 * lvm.MiB}, 0, 100 * lvm.MiB},
		{Range{Limit: 101 * lvm.MiB}, 0, 100 * lvm.MiB},
		{Range{Required: 1}, 0, extent},
		{Range{Required: 1}, 300 * lvm.MiB, 300 * lvm.MiB},
		{Range{Required: lvm.GiB + 1}, 0, lvm.GiB + extent},
		{Range{Required: lvm.GiB + 1, Limit: lvm.GiB + 2}, 0, 0},
		{Range{Required: 2, Limit: 1}, 0, 0},
		{Range{Limit: 1}, 0, 0},
		{Range{Limit: 100 * lvm.MiB}, 300 * lvm.MiB, 0},
		{Range{Required: 1<<63 - 1}, 0, 0},
	} {
		got, err := Fit(c.want, c.least, extent)
		if got != c.size || (err != nil) != (c.size == 0) || err != nil && !errors.Is(err, ErrRange) {
			t.Errorf("Fit(%v, least %v) = %v, %v; want %v", c.want, c.least, got, err, c.size)
		}
	}
}

func TestGrowthNeverShrinks(t *testing.T) {
	room := Room{Available: 10 * lvm.GiB, Largest: 10 * lvm.GiB, Extent: 4 * lvm.MiB}
	for _, c := range []struct {
		has  lvm.Bytes
		want Range
		to   lvm.Bytes
		err  error
	}{
		{lvm.GiB, Range{Required: 2 * lvm.GiB}, 2 * lvm.GiB, nil},
		{2 * lvm.GiB, Range{Required: lvm.GiB}, 2 * lvm.GiB, nil},
		{2 * lvm.GiB, Range{}, 2 * lvm.GiB, nil},
		{2 * lvm.GiB, Range{Limit: lvm.GiB}, 0, ErrRange},
		{lvm.GiB, Range{Required: 12 * lvm.GiB}, 0, ErrNoRoom},
		{lvm.GiB, Range{Required: 11 * lvm.GiB}, 11 * lvm.GiB, nil},
		{lvm.GiB, Range{Required: 2*lvm.GiB + 1, Limit: 2*lvm.GiB + 2}, 0, ErrRange},
	} {
		to, err := room.Growth(c.has, c.want)
		if to != c.to || !errors.Is(err, c.err) {
			t.Errorf("growing %v to %v = %v, %v; want %v, %v", c.has, c.want, to, err, c.to, c.err)
		}
	}
}
