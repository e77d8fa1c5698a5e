package csi

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// active finds a volume and the device that it is, activating it if a reboot left it inactive. A volume that is
// where it was last seen, which the device's UUID proves, costs no process.
func (d *Driver) active(ctx context.Context, id volume.ID) (live, error) {
	v, err := d.seen(ctx, id)
	if err != nil {
		return live{}, err
	}
	device, err := d.Pools.LVM().Device(v.Group, v.LV.Name)
	if errors.Is(err, lvm.ErrNoDevice) {
		device, err = d.activate(ctx, v)
	}
	if err != nil {
		return live{}, err
	}
	if device.UUID != v.LV.UUID {
		if v, err = d.look(ctx, id, volume.Volume); err != nil {
			return live{}, err
		}
	}
	if device.UUID != v.LV.UUID {
		return live{}, refuse(codes.Internal, "%s is LVM's %s, and the active device of that name is %s", id, v.LV.UUID, device.UUID)
	}
	v.LV.Size = device.Size
	return live{v, device}, nil
}

// seen is where a volume was last seen; LVM is asked when it was not.
func (d *Driver) seen(ctx context.Context, id volume.ID) (pool.Volume, error) {
	if v, ok := d.Pools.Recall(id.LV); ok && v.Record.Kind == volume.Volume && v.LV.UUID != "" {
		return v, nil
	}
	return d.look(ctx, id, volume.Volume)
}

func (d *Driver) activate(ctx context.Context, v pool.Volume) (lvm.Device, error) {
	unlock, err := d.Pools.Lock(ctx, v.Group)
	if err != nil {
		return lvm.Device{}, err
	}
	defer unlock()
	if err := d.Pools.LVM().Activate(v.Group, v.LV.Name); err != nil {
		return lvm.Device{}, err
	}
	return d.Pools.LVM().Device(v.Group, v.LV.Name)
}
