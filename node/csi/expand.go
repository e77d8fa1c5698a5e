package csi

import (
	"context"
	"errors"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// ControllerExpandVolume grows a volume, in use or not; it never shrinks one. The file system follows in
// NodeExpandVolume, or when the volume is staged next.
func (d *Driver) ControllerExpandVolume(ctx context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id, want, err := d.parseExpand(req)
	if err != nil {
		return nil, err
	}
	found, err := d.held(ctx, id, volume.Volume)
	if err != nil {
		return nil, err
	}
	defer found.Unlock()
	size, err := pool.Space(found.Config, found.VG).Growth(found.LV.Size, want)
	if errors.Is(err, pool.ErrNoRoom) {
		// RESOURCE_EXHAUSTED, which CSI does not have here, means to external-resizer that it may still happen, and that the
		// claim must not become smaller again.
		return nil, refuse(codes.OutOfRange, "capacity_range: %v", err)
	}
	if err != nil {
		return nil, err
	}
	if size == found.LV.Size && !found.LV.Stale { // an earlier call may have ended half-way
		err = d.Pools.LVM().Flush(found.Group)
	} else {
		err = d.Pools.LVM().Extend(found.Group, found.LV.Name, size)
	}
	if err != nil {
		return nil, err
	}
	found.LV.Size = size
	d.Pools.Note(found.Volume)
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: int64(size), NodeExpansionRequired: found.Record.FS != ""}, nil
}

func (d *Driver) parseExpand(req *csi.ControllerExpandVolumeRequest) (volume.ID, pool.Range, error) {
	if err := present("volume_id", req.GetVolumeId()); err != nil {
		return volume.ID{}, pool.Range{}, err
	}
	if req.GetCapacityRange() == nil {
		return volume.ID{}, pool.Range{}, invalid("capacity_range", "missing")
	}
	if c := req.GetVolumeCapability(); c != nil {
		if _, err := parseAccess("volume_capability", c); err != nil {
			return volume.ID{}, pool.Range{}, err
		}
	}
	want, err := sizes(req.GetCapacityRange())
	if err != nil {
		return volume.ID{}, pool.Range{}, err
	}
	id, err := d.localID("volume_id", req.GetVolumeId())
	return id, want, err
}

// held finds a volume or snapshot under the lock of its group; the caller unlocks it.
func (d *Driver) held(ctx context.Context, id volume.ID, kind volume.Kind) (pool.Found, error) {
	found, exists, err := d.Pools.Find(ctx, id.LV)
	if err != nil {
		return pool.Found{}, err
	}
	if !exists {
		return pool.Found{}, refuse(codes.NotFound, "%s %s does not exist", kind, id)
	}
	if found.Record.Kind != kind {
		found.Unlock()
		return pool.Found{}, refuse(codes.NotFound, "%s is a %s, not a %s", id, found.Record.Kind, kind)
	}
	return found, nil
}

// NodeExpandVolume grows a mounted file system to its device, without a process when it already fills it.
func (d *Driver) NodeExpandVolume(ctx context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if err := present("volume_id", req.GetVolumeId(), "volume_path", req.GetVolumePath()); err != nil {
		return nil, err
	}
	if _, err := sizes(req.GetCapacityRange()); err != nil {
		return nil, err
	}
	id, err := d.localID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	v, err := d.active(ctx, id)
	if err != nil {
		return nil, err
	}
	if v.Record.FS != "" {
		if err := d.mountedAt(v, req.GetVolumePath()); err != nil {
			return nil, err
		}
		grow := filesystem.GrowRequest{Device: v.device.Path, MountPoint: req.GetVolumePath(), Type: filesystem.Type(v.Record.FS)}
		if err := filesystem.Grow(ctx, grow); err != nil {
			return nil, err
		}
	}
	return &csi.NodeExpandVolumeResponse{CapacityBytes: int64(v.device.Size)}, nil
}
