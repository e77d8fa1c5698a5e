package csi

import (
	"context"
	"errors"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// ControllerExpandVolume grows a volume and the file system on it, in use or not; it never shrinks one. As it runs on the
// volume's own node, nobody has to wait for the kubelet to come by, which takes it up to minutes. The file system of a volume
// that is mounted nowhere follows when it is staged next.
func (d *Driver) ControllerExpandVolume(ctx context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id, want, err := d.parseExpand(req)
	if err != nil {
		return nil, err
	}
	v, err := d.enlarge(ctx, id, want)
	if err != nil {
		return nil, err
	}
	filled, err := d.fill(ctx, v)
	if err != nil { // asked for the same on the node, the kubelet tells the pod's and the claim's owner
		d.Log.WarnContext(ctx, "the volume grew, its file system did not", "volume", id.String(), "error", err)
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: int64(v.LV.Size), NodeExpansionRequired: !filled}, nil
}

// enlarge grows the logical volume.
func (d *Driver) enlarge(ctx context.Context, id volume.ID, want pool.Range) (pool.Volume, error) {
	found, err := d.held(ctx, id, volume.Volume)
	if err != nil {
		return pool.Volume{}, err
	}
	defer found.Unlock()
	size, err := pool.Space(found.Config, found.VG).Growth(found.LV.Size, want)
	if errors.Is(err, pool.ErrNoRoom) {
		// RESOURCE_EXHAUSTED, which CSI does not have here, means to external-resizer that it may still happen, and that the
		// claim must not become smaller again.
		return pool.Volume{}, refuse(codes.OutOfRange, "capacity_range: %v", err)
	}
	if err != nil {
		return pool.Volume{}, err
	}
	if size == found.LV.Size && !found.LV.Stale { // an earlier call may have ended half-way
		err = d.Pools.LVM().Flush(found.Group)
	} else {
		err = d.Pools.LVM().Extend(found.Group, found.LV.Name, size)
	}
	if err != nil {
		return pool.Volume{}, err
	}
	found.LV.Size = size
	d.Pools.Note(found.Volume)
	return found.Volume, nil
}

// fill grows the file system of a volume that is mounted to its device, and says whether nothing is left to do: then it has
// none, or it grows when it is staged.
func (d *Driver) fill(ctx context.Context, v pool.Volume) (filled bool, err error) {
	if v.Record.FS == "" {
		return true, nil
	}
	device, err := d.Pools.LVM().Device(v.Group, v.LV.Name)
	if errors.Is(err, lvm.ErrNoDevice) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	mounts, err := filesystem.MountsOf(device.Major, device.Minor)
	if err != nil || len(mounts) == 0 {
		return err == nil, err
	}
	i := slices.IndexFunc(mounts, func(m filesystem.Mount) bool { return m.Root == "/" && !m.ReadOnly() })
	if i < 0 {
		return false, nil
	}
	err = filesystem.Grow(ctx, filesystem.GrowRequest{Device: device.Path, MountPoint: mounts[i].Target, Type: filesystem.Type(v.Record.FS)})
	return err == nil, err
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

// NodeExpandVolume grows a mounted file system to its device, without a process when it already fills it: what is left to do
// when ControllerExpandVolume could not.
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
