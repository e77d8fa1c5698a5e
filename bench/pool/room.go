package pool

import (
	"strings"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
)

// The layers, in the order in which they are shown.
const (
	raw        = "raw"
	linear     = "thick"
	striped    = "striped"
	allocated  = "thin, preallocated"
	firstWrite = "thin, first write"
	copied     = "after a snapshot"
	onExt4     = "ext4 on thin"
	onXFS      = "xfs on thin"
)

var layers = []string{raw, linear, striped, allocated, firstWrite, copied, onExt4, onXFS}

// beneath is what the cost of each layer is a ratio of: the first of these that was measured.
var beneath = map[string][]string{
	linear:     {raw},
	striped:    {linear},
	allocated:  {linear, raw},
	firstWrite: {allocated},
	copied:     {allocated},
	onExt4:     {allocated},
	onXFS:      {allocated},
}

// choice is which layers are measured.
type choice struct {
	stripes int               // of the striped layer
	skipped map[string]string // why a layer is not, for people
}

func (c choice) has(layer string) bool { return c.skipped[layer] == "" }

// headroom is the part of a thick pool that stays free, as of a file system.
const headroom = 0.05

// choose decides which layers a pool has room for. Those that it could have and has no room for are refused all together, but for
// thick ones in the group of a thin pool, which has no such volumes as a rule.
func choose(p Pool, vg lvm.VolumeGroup, size lvm.Bytes) (choice, error) {
	c := choice{skipped: map[string]string{}}
	if size < lvm.MiB {
		return c, unfit("a size of %v: expected at least 1Mi", size)
	}
	one := size.RoundUp(vg.ExtentSize)
	free := vg.Free / 2 // the rest stays for the thin pool's metadata and data to grow by
	if p.ThinPool == "" {
		free = max(0, min(p.Available, vg.Free)-lvm.Bytes(headroom*float64(vg.Size)))
		if one > free {
			return c, unfit("pool %s has %v available, of which 5%% of %v stay free: expected %v for a volume; a smaller --size may do", p.Name, p.Available, vg.Size, one)
		}
		for _, layer := range []string{allocated, firstWrite, copied, onExt4, onXFS} {
			c.skipped[layer] = "pool " + p.Name + " is thick: it has no thin pool"
		}
	} else if err := fitsThin(p, vg, thinNeed(one)); err != nil {
		return c, err
	}
	if one > free {
		reason := lacking(vg, free, one)
		c.skipped[linear], c.skipped[striped] = reason, reason
		return c, nil
	}
	c.chooseStripes(vg, size, free-one)
	return c, nil
}

func lacking(vg lvm.VolumeGroup, free, want lvm.Bytes) string {
	return "volume group " + vg.Name + " has " + vg.Free.String() + " free, of which " + free.String() + " may be used: " + want.String() + " are needed"
}

// chooseStripes stripes over as many disks as have room for their part.
func (c *choice) chooseStripes(vg lvm.VolumeGroup, size, free lvm.Bytes) {
	if len(vg.PVs) < 2 {
		c.skipped[striped] = "volume group " + vg.Name + " is on one disk"
		return
	}
	for n := len(vg.PVs); n >= 2; n-- {
		part := (size / lvm.Bytes(n)).RoundUp(vg.ExtentSize)
		with := 0
		for _, pv := range vg.PVs {
			if pv.Allocatable && !pv.Missing && pv.Free >= part {
				with++
			}
		}
		if with >= n && part*lvm.Bytes(n) <= free {
			c.stripes = n
			return
		}
	}
	c.skipped[striped] = lacking(vg, free, size) + " on two disks or more, beside another volume of as much"
}

// fileSystemNeed is a volume in which a file system has a file of that size and leaves as much free as bench.Open wants.
func fileSystemNeed(t filesystem.Type, size lvm.Bytes) lvm.Bytes {
	return max(filesystem.MinimumSize(t), size+size/8+64*lvm.MiB)
}

// thinNeed is what the thin layers may come to use together: the one whose blocks are copied has a snapshot of as much.
func thinNeed(size lvm.Bytes) lvm.Bytes {
	return 4*size + fileSystemNeed(filesystem.Ext4, size) + fileSystemNeed(filesystem.XFS, size)
}

// mapping is what the kernel keeps of a chunk that is mapped, in bytes of the pool's metadata (lvmthin(7)).
const mapping = 64

// fitsThin says why that much more is not written to a thin pool: it would be extended, or told to be nearly full, for good, or new
// volumes would have less than what is promised to them.
func fitsThin(p Pool, vg lvm.VolumeGroup, want lvm.Bytes) error {
	lv, ok := vg.LV(p.ThinPool)
	if !ok || lv.ChunkSize <= 0 || lv.Size <= 0 {
		return unfit("volume group %s has no thin pool %s", vg.Name, p.ThinPool)
	}
	if want > p.Available {
		return unfit("pool %s has %v available: expected %v for the volumes to measure; a smaller --size may do", p.Name, p.Available, want)
	}
	if lv.Mapped+want > p.ExtendAt {
		return unfit("pool %s has %v of %v in use, and up to %v would be written: expected to stay below %v, where it is extended or told to be nearly full; "+
			"a smaller --size may do", p.Name, lv.Mapped, lv.Size, want, p.ExtendAt)
	}
	entries := want / lv.ChunkSize * mapping
	if most := lvm.Bytes(float64(lv.MetadataSize) * float64(p.ExtendAt) / float64(lv.Size)); lv.MetadataUsed+entries > most {
		return unfit("pool %s has %v of %v of metadata in use, and up to %v would be added: expected to stay below %v; a smaller --size may do",
			p.Name, lv.MetadataUsed, lv.MetadataSize, entries, most)
	}
	return nil
}

// fits is fitsThin for a pool of either kind, of volumes of that size each.
func fits(p Pool, vg lvm.VolumeGroup, size lvm.Bytes, volumes int) error {
	want := size.RoundUp(vg.ExtentSize) * lvm.Bytes(volumes)
	if p.ThinPool != "" {
		return fitsThin(p, vg, want)
	}
	if spare := lvm.Bytes(headroom * float64(vg.Size)); want > p.Available-spare {
		return unfit("pool %s has %v available, of which %v stay free: expected %v for %d volumes; a smaller --size or fewer --neighbours may do",
			p.Name, p.Available, spare, want, volumes)
	}
	return nil
}

// first are reasons why a job does not measure the first write, and copying why it does not measure that.
func first(j bench.Job) string {
	switch {
	case !j.Writes():
		return "what was never written is read from nowhere"
	case j.Pattern == bench.RandRW:
		return "a job that also reads would read what was never written"
	}
	return ""
}

func copying(j bench.Job) string {
	if !j.Writes() {
		return "reading copies nothing"
	}
	return ""
}

// past says why a job does not run past device-mapper on the disk itself.
func past(j bench.Job) string {
	if j.Sync {
		return "a job that flushes goes through the page cache, which the disk shares with others"
	}
	return ""
}

// oneOf says whether there is a job for a place, and if not, why.
func oneOf(jobs []bench.Job, place *bench.Place) (why string) {
	var reasons []string
	for _, j := range jobs {
		reason := place.Refusal(j)
		if reason == "" {
			return ""
		}
		reasons = append(reasons, j.Name+": "+reason)
	}
	return strings.Join(reasons, "; ")
}
