package lvmtest

import (
	"maps"
	"slices"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Where LVM puts things when it is not told.
const (
	defaultExtent = 4 * lvm.MiB
	defaultChunk  = 64 * lvm.KiB
	leastMetadata = 2 * lvm.MiB
	spareName     = "lvol0_pmspare"
)

// CreateGroup is as for lvm.LVM.
func (f *Fake) CreateGroup(r lvm.CreateGroup) error {
	if err := r.Check(); err != nil {
		return err
	}
	return f.mutate("CreateGroup", r.Name, func() error {
		if f.group(r.Name) != nil {
			return failure("vgcreate", "A volume group called %s already exists.", r.Name)
		}
		g := &group{name: r.Name, extent: r.ExtentSize, tags: slices.Clone(r.Tags)}
		if g.extent == 0 {
			g.extent = defaultExtent
		}
		disks, err := f.physical("vgcreate", r.MetadataSize, r.Devices)
		if err != nil {
			return err
		}
		g.join(disks)
		g.uuid = f.uuid()
		f.groups = append(f.groups, g)
		return nil
	})
}

// ExtendGroup is as for lvm.LVM.
func (f *Fake) ExtendGroup(vg string, metadataSize lvm.Bytes, devices ...string) error {
	if len(devices) == 0 {
		return nil
	}
	if err := (lvm.CreateGroup{Name: vg, Devices: devices, MetadataSize: metadataSize}).Check(); err != nil {
		return err
	}
	return f.mutate("ExtendGroup", vg, func() error {
		joining, err := f.physical("vgextend", metadataSize, devices) // LVM, too, does this first
		if err != nil {
			return err
		}
		g, err := f.writable("vgextend", vg)
		if err != nil {
			return err
		}
		g.join(joining)
		return nil
	})
}

// Clear is as for lvm.LVM; it refuses physical volumes of a group.
func (f *Fake) Clear(vg string, devices ...string) error {
	if len(devices) == 0 {
		return nil
	}
	if err := (lvm.CreateGroup{Name: vg, Devices: devices}).Check(); err != nil {
		return err
	}
	return f.mutate("Clear", vg, func() error {
		for _, path := range devices {
			if d, ok := f.disks[path]; !ok || !f.visible(d) || d.vg != "" {
				return failure("pvremove", "No PV found on device %s.", path)
			}
		}
		for _, path := range devices {
			f.disks[path].physical = false
		}
		return nil
	})
}

// physical makes physical volumes of disks, of all or of none; one that is a physical volume already stays as it is.
func (f *Fake) physical(command string, metadataSize lvm.Bytes, devices []string) ([]*disk, error) {
	var joining []*disk
	for _, path := range devices {
		d, ok := f.disks[path]
		if !ok || !f.visible(d) || slices.Contains(joining, d) {
			return nil, failure(command, "Cannot use %s: device is not in devices list", path)
		}
		if d.vg != "" {
			return nil, failure(command, "Physical volume '%s' is already in volume group '%s'", path, d.vg)
		}
		joining = append(joining, d)
	}
	for _, d := range joining {
		if d.physical {
			continue
		}
		d.physical, d.metadata = true, lvm.MiB
		if metadataSize > 0 {
			d.metadata = (metadataSize + 4*lvm.KiB).RoundUp(lvm.MiB)
		}
	}
	return joining, nil
}

func (g *group) join(disks []*disk) {
	for _, d := range disks {
		d.vg, d.extents = g.name, max(0, int64((d.size-d.metadata)/g.extent))
		d.free = d.extents
		g.disks = append(g.disks, d)
	}
}

// CreatePool is as for lvm.LVM.
func (f *Fake) CreatePool(r lvm.CreatePool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return f.create(creation{op: "CreatePool", vg: r.VG, name: r.Name, tags: r.Tags}, func(g *group, v *volume) error {
		v.Segment, v.Stripes = lvm.ThinPool, max(1, r.Stripes)
		v.ChunkSize, v.ErrorWhenFull = r.ChunkSize, true
		if v.ChunkSize == 0 {
			v.ChunkSize = defaultChunk
		}
		v.MetadataSize = r.MetadataSize
		if v.MetadataSize == 0 {
			v.MetadataSize = max(leastMetadata, r.Size/v.ChunkSize*64)
		}
		v.MetadataSize = v.MetadataSize.RoundUp(g.extent)
		v.Size = r.Size.RoundUp(g.extent * lvm.Bytes(v.Stripes))
		return f.allocatePool(g, v)
	})
}

// allocatePool adds the hidden parts of a thin pool, and the group's spare.
func (f *Fake) allocatePool(g *group, v *volume) error {
	free := g.freeByDisk()
	parts := []*volume{
		f.hidden(v.Name+"_tdata", v.Size, v.Stripes),
		f.hidden(v.Name+"_tmeta", v.MetadataSize, 1),
	}
	for _, p := range parts {
		if !g.allocate(p, p.Size) {
			g.restore(free)
			return noRoom(g, p.Size)
		}
		p.Active = true
	}
	if !f.spare(g, v.MetadataSize) {
		g.restore(free)
		return noRoom(g, v.MetadataSize)
	}
	g.volumes = append(g.volumes, parts...)
	return nil
}

func (f *Fake) hidden(name string, size lvm.Bytes, stripes int) *volume {
	v := f.newVolume(name)
	v.Hidden, v.Size, v.Stripes, v.Segment = true, size, stripes, lvm.Linear
	if stripes > 1 {
		v.Segment = lvm.Striped
	}
	return v
}

// spare keeps the group's spare metadata as large as the largest pool's.
func (f *Fake) spare(g *group, size lvm.Bytes) bool {
	v := g.volume(spareName)
	if v == nil {
		v = f.hidden(spareName, 0, 1)
		g.volumes = append(g.volumes, v)
	}
	if size <= v.Size {
		return true
	}
	grown := g.allocate(v, size-v.Size)
	if grown {
		v.Size = size
	}
	return grown
}

// CreateThin is as for lvm.LVM.
func (f *Fake) CreateThin(r lvm.CreateThin) error {
	if err := r.Check(); err != nil {
		return err
	}
	return f.create(creation{op: "CreateThin", vg: r.VG, name: r.Name, tags: r.Tags}, func(g *group, v *volume) error {
		pool := g.volume(r.Pool)
		if pool == nil || pool.Segment != lvm.ThinPool {
			return failure("lvcreate", "Pool %s not found in Volume group %s.", r.Pool, r.VG)
		}
		v.Segment, v.Pool, v.Stripes, v.Size = lvm.Thin, r.Pool, 1, r.Size.RoundUp(g.extent)
		pool.TransactionID++
		pool.Active = true
		return nil
	})
}

// CreateThick is as for lvm.LVM.
func (f *Fake) CreateThick(r lvm.CreateThick) error {
	if err := r.Check(); err != nil {
		return err
	}
	return f.create(creation{op: "CreateThick", vg: r.VG, name: r.Name, tags: r.Tags}, func(g *group, v *volume) error {
		v.Segment, v.Stripes = lvm.Linear, max(1, r.Stripes)
		if v.Stripes > 1 {
			v.Segment = lvm.Striped
		}
		v.Size = r.Size.RoundUp(g.extent * lvm.Bytes(v.Stripes))
		if !g.allocate(v, v.Size) {
			return noRoom(g, v.Size)
		}
		return nil
	})
}

// CreateSnapshot is as for lvm.LVM.
func (f *Fake) CreateSnapshot(r lvm.CreateSnapshot) error {
	if err := r.Check(); err != nil {
		return err
	}
	c := creation{op: "CreateSnapshot", vg: r.VG, name: r.Name, tags: r.Tags, contents: r.Origin}
	return f.create(c, func(g *group, v *volume) error {
		origin := g.volume(r.Origin)
		if origin == nil || origin.Segment != lvm.Thin || r.Pool != "" && r.Pool != origin.Pool {
			return failure("lvcreate", "Snapshot origin LV %s not found in Volume group %s.", r.Origin, r.VG)
		}
		v.Segment, v.Pool, v.Origin, v.Stripes, v.Size = lvm.Thin, origin.Pool, origin.Name, 1, origin.Size
		v.Mapped, v.shared = origin.Mapped, origin.Mapped
		v.Active, v.ReadOnly, v.SkipActive = r.Writable, !r.Writable, !r.Writable
		g.volume(origin.Pool).TransactionID++
		return nil
	})
}

// creation is what every new volume has.
type creation struct {
	op, vg, name string
	tags         []string
	contents     string // volume whose file is copied
}

func (f *Fake) create(c creation, fill func(*group, *volume) error) error {
	return f.mutate(c.op, c.vg, func() error {
		g, err := f.writable("lvcreate", c.vg)
		if err != nil {
			return err
		}
		if g.volume(c.name) != nil {
			return failure("lvcreate", "Logical Volume %q already exists in volume group %q", c.name, c.vg)
		}
		if g.metadataFree() < perVolume {
			return failure("lvcreate", "VG %s metadata on %s is too large for circular buffer.", c.vg, g.disks[0].path)
		}
		v := f.newVolume(c.name)
		v.Tags = normal(c.tags)
		v.Active = true
		if err := fill(g, v); err != nil {
			return err
		}
		g.volumes = append(g.volumes, v)
		return f.makeFile(c.vg, c.contents, v)
	})
}

func (f *Fake) newVolume(name string) *volume {
	v := &volume{extents: map[*disk]int64{}}
	v.Name, v.UUID, v.Created = name, f.uuid(), time.Unix(time.Now().Unix(), 0)
	v.minor = uint32(f.serial)
	return v
}

// normal is how LVM keeps tags: sorted, each once.
func normal(tags []string) []string {
	sorted := slices.Sorted(slices.Values(tags))
	return slices.Compact(sorted)
}

// allocate takes whole extents for a volume's growth: linear ones wherever there are some, striped ones evenly from as many
// disks as there are stripes. It takes all or nothing.
func (g *group) allocate(v *volume, growth lvm.Bytes) bool {
	need := int64(growth / g.extent)
	if v.Stripes > 1 {
		return g.stripe(v, need/int64(v.Stripes))
	}
	if need > g.freeExtents() {
		return false
	}
	for _, d := range g.disks {
		n := min(need, d.free)
		d.free, v.extents[d], need = d.free-n, v.extents[d]+n, need-n
	}
	return true
}

func (g *group) stripe(v *volume, each int64) bool {
	var wide []*disk
	for _, d := range g.disks {
		if d.free >= each && len(wide) < v.Stripes {
			wide = append(wide, d)
		}
	}
	if len(wide) < v.Stripes {
		return false
	}
	for _, d := range wide {
		d.free, v.extents[d] = d.free-each, v.extents[d]+each
	}
	return true
}

func (g *group) freeExtents() (n int64) {
	for _, d := range g.disks {
		n += d.free
	}
	return n
}

func (g *group) freeByDisk() map[*disk]int64 {
	free := map[*disk]int64{}
	for _, d := range g.disks {
		free[d] = d.free
	}
	return free
}

func (g *group) restore(free map[*disk]int64) {
	for d, n := range maps.All(free) {
		d.free = n
	}
}

func noRoom(g *group, size lvm.Bytes) error {
	return failure("lvcreate", "Volume group %q has insufficient free space (%d extents): %d required.", g.name, g.freeExtents(), size/g.extent)
}
