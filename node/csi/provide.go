package csi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// live is a volume with the device that it is while active.
type live struct {
	pool.Volume
	device lvm.Device
}

// carryOut does what was decided, and returns the volume as it then is.
func (d *Driver) carryOut(s createStep) (live, error) {
	v, l := s.volume, d.Pools.LVM()
	if err := d.makeOrActivate(s); err != nil {
		return live{}, err
	}
	if s.extend > 0 {
		if err := l.Extend(v.Group, v.LV.Name, s.extend); err != nil {
			return live{}, err
		}
	}
	device, err := l.Device(v.Group, v.LV.Name)
	if err != nil {
		return live{}, err
	}
	if fresh := !s.exists && v.Record.Source == ""; fresh && device.Mapped != 0 {
		return live{}, d.disown(v, device.Mapped)
	}
	v.LV.UUID, v.LV.Size, v.LV.Active = device.UUID, device.Size, true
	d.Pools.Note(v)
	return live{v, device}, nil
}

func (d *Driver) makeOrActivate(s createStep) error {
	v := s.volume
	switch {
	case s.exists && v.LV.Active:
		return d.Pools.LVM().Flush(v.Group)
	case s.exists:
		return d.Pools.LVM().Activate(v.Group, v.LV.Name)
	}
	// From here until the file system is made, the volume is known to hold nobody's data.
	if err := d.Intents.Begin(v.LV.Name); err != nil {
		return err
	}
	return d.makeLV(s)
}

// makeLV runs the one command that makes the volume, tags included, so that no moment exists in which it is not ours.
func (d *Driver) makeLV(s createStep) error {
	v, l := s.volume, d.Pools.LVM()
	switch {
	case v.Record.Source != "":
		return l.CreateSnapshot(lvm.CreateSnapshot{
			VG: v.Group, Pool: s.where.ThinPool, Origin: v.Record.Source, Name: v.LV.Name, Tags: v.Record.Tags(), Writable: true,
		})
	case s.where.Pool.Type == config.Thin:
		return l.CreateThin(lvm.CreateThin{
			VG: v.Group, Pool: s.where.ThinPool, Name: v.LV.Name, Size: v.LV.Size, Tags: v.Record.Tags(),
		})
	}
	return l.CreateThick(lvm.CreateThick{
		VG: v.Group, Name: v.LV.Name, Size: v.LV.Size, Stripes: s.where.Pool.Stripes, Tags: v.Record.Tags(),
	})
}

// disown removes a thin volume that was just made and shows mapped blocks: it took over a device id that an interrupted
// command left in the pool, with another tenant's data behind it; or one of which that is not known.
func (d *Driver) disown(v pool.Volume, mapped lvm.Bytes) error {
	why := fmt.Sprintf("volume %s came with %v of foreign data", v.LV.Name, mapped)
	if mapped < 0 {
		why = fmt.Sprintf("pool %s does not tell whether volume %s came with foreign data", v.Pool, v.LV.Name)
	}
	if err := d.Pools.LVM().Remove(v.Group, v.LV.Name); err != nil {
		return fmt.Errorf("%s, and could not be removed: %w", why, err)
	}
	return fmt.Errorf("%s, and was removed; try again", why)
}

// lockAll takes the locks of the groups of those pools, in the order of their names.
func (d *Driver) lockAll(ctx context.Context, pools []config.Pool) (unlock func(), err error) {
	groups := make([]string, 0, len(pools))
	for _, p := range pools {
		groups = append(groups, p.VolumeGroup)
	}
	slices.Sort(groups)
	var held []func()
	unlock = func() {
		for _, u := range held {
			u()
		}
	}
	for _, g := range groups {
		u, err := d.Pools.Lock(ctx, g)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, u)
	}
	return unlock, nil
}

// describe is a volume as CSI tells it, the same from every call.
func (d *Driver) describe(v pool.Volume) *csi.Volume {
	answer := &csi.Volume{
		VolumeId:           volume.ID{Node: d.Node, LV: v.LV.Name}.String(),
		CapacityBytes:      int64(v.LV.Size),
		VolumeContext:      map[string]string{paramPool: v.Pool},
		AccessibleTopology: []*csi.Topology{d.topology()},
	}
	source := volume.ID{Node: d.Node, LV: v.Record.Source}.String()
	switch {
	case v.Record.Source == "":
	case strings.HasPrefix(v.Record.Source, volume.SnapshotPrefix):
		answer.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: source},
		}}
	default:
		answer.ContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
			Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: source},
		}}
	}
	return answer
}
