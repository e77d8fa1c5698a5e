package pool

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
)

// group is a volume group with that much free on each of its disks, which have 10 GiB.
func group(free ...lvm.Bytes) lvm.VolumeGroup {
	vg := lvm.VolumeGroup{Name: "loam-p", ExtentSize: 4 * lvm.MiB}
	for i, f := range free {
		vg.Size, vg.Free = vg.Size+10*lvm.GiB, vg.Free+f
		vg.PVs = append(vg.PVs, lvm.PhysicalVolume{Device: fmt.Sprintf("/dev/d%d", i), Size: 10 * lvm.GiB, Free: f, Allocatable: true})
	}
	return vg
}

// thin is a group whose thin pool has 10 GiB, with so much in use.
func thin(mapped lvm.Bytes, free ...lvm.Bytes) (Pool, lvm.VolumeGroup) {
	vg := group(free...)
	vg.LVs = append(vg.LVs, lvm.LogicalVolume{
		Name: "pool", Segment: lvm.ThinPool, Size: 10 * lvm.GiB, Mapped: mapped, ChunkSize: 64 * lvm.KiB, MetadataSize: 20 * lvm.MiB, MetadataUsed: lvm.MiB,
	})
	return Pool{Name: "p", VolumeGroup: vg.Name, ThinPool: "pool", Available: 10*lvm.GiB - mapped, ExtendAt: 8 * lvm.GiB}, vg
}

func thick(available lvm.Bytes, free ...lvm.Bytes) (Pool, lvm.VolumeGroup) {
	vg := group(free...)
	return Pool{Name: "p", VolumeGroup: vg.Name, Available: available}, vg
}

func TestLayersThatThereIsRoomFor(t *testing.T) {
	const size = 256 * lvm.MiB
	thinLayers := []string{allocated, firstWrite, copied, onExt4, onXFS}
	for _, c := range []struct {
		name    string
		pool    func() (Pool, lvm.VolumeGroup)
		skipped []string
		why     string
		stripes int
	}{
		{"thin pool that has taken all", func() (Pool, lvm.VolumeGroup) { return thin(0, 0) }, []string{linear, striped}, "has 0 B free", 0},
		{"thin pool with a reserve", func() (Pool, lvm.VolumeGroup) { return thin(0, 500*lvm.MiB) }, []string{linear, striped},
			"has 500 MiB free, of which 250 MiB may be used: 256 MiB are needed", 0},
		{"one disk with room", func() (Pool, lvm.VolumeGroup) { return thin(0, 2*lvm.GiB) }, []string{striped}, "is on one disk", 0},
		{"two disks with room", func() (Pool, lvm.VolumeGroup) { return thin(0, lvm.GiB, lvm.GiB) }, nil, "", 2},
		{"two disks of which one is full", func() (Pool, lvm.VolumeGroup) { return thin(0, 2*lvm.GiB, 0) }, []string{striped}, "on two disks or more", 0},
		{"three disks of which one is full", func() (Pool, lvm.VolumeGroup) { return thin(0, lvm.GiB, 0, lvm.GiB) }, nil, "", 2},
		{"three disks with room", func() (Pool, lvm.VolumeGroup) { return thin(0, lvm.GiB, lvm.GiB, lvm.GiB) }, nil, "", 3},
		{"room for one of the two", func() (Pool, lvm.VolumeGroup) { return thin(0, 300*lvm.MiB, 300*lvm.MiB) }, []string{striped}, "beside another volume", 0},
		{"thick pool", func() (Pool, lvm.VolumeGroup) { return thick(4*lvm.GiB, 2*lvm.GiB, 2*lvm.GiB) }, thinLayers, "it has no thin pool", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, vg := c.pool()
			got, err := choose(p, vg, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, layer := range c.skipped {
				if !strings.Contains(got.skipped[layer], c.why) {
					t.Errorf("%s is skipped for %q; want a reason with %q", layer, got.skipped[layer], c.why)
				}
			}
			if len(got.skipped) != len(c.skipped) || got.stripes != c.stripes {
				t.Errorf("skipped %v, %d stripes; want %v, %d", got.skipped, got.stripes, c.skipped, c.stripes)
			}
		})
	}
}

func TestPoolIsNotFilled(t *testing.T) {
	for _, c := range []struct {
		name string
		pool func() (Pool, lvm.VolumeGroup)
		size lvm.Bytes
		why  string
	}{
		{"nothing to measure", func() (Pool, lvm.VolumeGroup) { return thin(0, 0) }, lvm.KiB, "expected at least 1Mi"},
		{"nearly full", func() (Pool, lvm.VolumeGroup) { return thin(7*lvm.GiB, 0) }, 256 * lvm.MiB, "has 7 GiB of 10 GiB in use, and up to 1.69 GiB would be written: expected to stay below 8 GiB"},
		{"promised to others", func() (Pool, lvm.VolumeGroup) {
			p, vg := thin(0, 0)
			p.Available = lvm.GiB
			return p, vg
		}, 256 * lvm.MiB, "has 1 GiB available"},
		{"too large", func() (Pool, lvm.VolumeGroup) { return thin(0, 0) }, 2 * lvm.GiB, "a smaller --size may do"},
		{"metadata nearly full", func() (Pool, lvm.VolumeGroup) {
			p, vg := thin(0, 0)
			vg.LVs[0].MetadataUsed = 15 * lvm.MiB
			return p, vg
		}, 256 * lvm.MiB, "of metadata in use"},
		{"no thin pool of that name", func() (Pool, lvm.VolumeGroup) { p, _ := thin(0, 0); return p, group(0) }, 256 * lvm.MiB, "has no thin pool pool"},
		{"thick, full", func() (Pool, lvm.VolumeGroup) { return thick(0, 500*lvm.MiB) }, 256 * lvm.MiB, "has 0 B available"},
		{"thick, nearly full", func() (Pool, lvm.VolumeGroup) { return thick(600*lvm.MiB, 800*lvm.MiB) }, 256 * lvm.MiB, "expected 256 MiB for a volume"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, vg := c.pool()
			if got, err := choose(p, vg, c.size); !errors.Is(err, bench.ErrUnfit) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%+v, %v; want ErrUnfit with %q", got, err, c.why)
			}
		})
	}
}

func TestNeighboursFitOrAreRefused(t *testing.T) {
	thinPool, thinGroup := thin(0, 0)
	thickPool, thickGroup := thick(4*lvm.GiB, 4*lvm.GiB)
	for _, c := range []struct {
		name    string
		pool    Pool
		vg      lvm.VolumeGroup
		volumes int
		fits    bool
	}{
		{"thin, up to where it is extended", thinPool, thinGroup, 8, true},
		{"thin, one more", thinPool, thinGroup, 9, false},
		{"thick, less what stays free", thickPool, thickGroup, 3, true},
		{"thick, one more", thickPool, thickGroup, 4, false},
	} {
		if err := fits(c.pool, c.vg, lvm.GiB, c.volumes); (err == nil) != c.fits || err != nil && !errors.Is(err, bench.ErrUnfit) {
			t.Errorf("%s: %v; fits should be %v", c.name, err, c.fits)
		}
	}
}

func TestEachLayerIsComparedWithTheOneBeneathThatWasMeasured(t *testing.T) {
	jobs := []bench.Job{{Name: "r", Pattern: bench.Read, BlockSize: 1, Depth: 1}, {Name: "w", Pattern: bench.Write, BlockSize: 1, Depth: 1}}
	all := func() map[string]*bench.Place {
		places := map[string]*bench.Place{}
		for _, layer := range layers {
			places[layer] = &bench.Place{}
		}
		return places
	}
	for _, c := range []struct {
		name   string
		change func(places map[string]*bench.Place, skipped map[string]string)
		want   string
	}{
		{"all", func(map[string]*bench.Place, map[string]string) {}, "raw<; thick<raw; striped<thick; thin, preallocated<thick; thin, first write<thin, preallocated; " +
			"after a snapshot<thin, preallocated; ext4 on thin<thin, preallocated; xfs on thin<thin, preallocated; "},
		{"no thick", func(places map[string]*bench.Place, skipped map[string]string) {
			for _, l := range []string{linear, striped, onXFS, copied} {
				delete(places, l)
				skipped[l] = "no room"
			}
		}, "raw<; thick!no room; striped!no room; thin, preallocated<raw; thin, first write<thin, preallocated; after a snapshot!no room; " +
			"ext4 on thin<thin, preallocated; xfs on thin!no room; "},
		{"no job for raw", func(places map[string]*bench.Place, _ map[string]string) {
			places[raw].Refuses = func(bench.Job) string { return "no" }
			for _, l := range []string{striped, allocated, firstWrite, copied, onExt4, onXFS} {
				delete(places, l)
			}
		}, "raw!r: no; w: no; thick<; "},
	} {
		places, choice := all(), choice{skipped: map[string]string{}}
		c.change(places, choice.skipped)
		var measured []bench.Stage
		for _, p := range arrange(places, choice, jobs) {
			measured = append(measured, bench.Stage{Name: p.Name, Baseline: p.Baseline})
		}
		got := ""
		for _, s := range inOrder(measured, choice) {
			if s.Skipped != "" {
				got += s.Name + "!" + s.Skipped + "; "
			} else {
				got += s.Name + "<" + s.Baseline + "; "
			}
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestJobsThatALayerCannotMeasureAreRefused(t *testing.T) {
	read, write := bench.Job{Pattern: bench.RandRead}, bench.Job{Pattern: bench.RandWrite}
	mixed, log := bench.Job{Pattern: bench.RandRW}, bench.Job{Pattern: bench.Write, Sync: true}
	for _, c := range []struct {
		name                    string
		refuses                 func(bench.Job) string
		read, write, mixed, log bool // run
	}{
		{firstWrite, first, false, true, false, true},
		{copied, copying, false, true, true, true},
		{raw, past, true, true, true, false},
	} {
		for i, want := range []bool{c.read, c.write, c.mixed, c.log} {
			j := []bench.Job{read, write, mixed, log}[i]
			if got := c.refuses(j) == ""; got != want {
				t.Errorf("%s: job %+v is run: %v, %q; want %v", c.name, j, got, c.refuses(j), want)
			}
		}
	}
}

func TestNeighboursAreComparedWithTheFewest(t *testing.T) {
	places := beside(&bench.Place{Path: "/dev/v"}, make([]*bench.Place, 4), []int{0, 1, 4})
	got := ""
	for _, p := range places {
		got += p.Name + "<" + p.Baseline + "; "
	}
	if want := "0 neighbours<; 1 neighbour<0 neighbours; 4 neighbours<0 neighbours; "; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	for _, numbers := range [][]int{nil, {-1}, {65}} {
		if _, err := Neighbours(t.Context(), Plan{}, numbers); err == nil || !strings.Contains(err.Error(), "expected numbers from 0 to 64") {
			t.Errorf("%v: %v; want to be told what is expected", numbers, err)
		}
	}
}
