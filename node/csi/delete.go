package csi

import (
	"context"
	"errors"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// DeleteVolume removes a volume. What does not exist is deleted already. A thick volume is renamed, and its bytes are
// zeroed before its extents are given back, in the background: zeroing terabytes outlasts any caller.
func (d *Driver) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id, exists, err := d.deletable("volume_id", req.GetVolumeId())
	if err != nil || !exists {
		return &csi.DeleteVolumeResponse{}, err
	}
	return &csi.DeleteVolumeResponse{}, d.remove(ctx, id, volume.Volume)
}

// DeleteSnapshot removes a snapshot. What does not exist is deleted already.
func (d *Driver) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	id, exists, err := d.deletable("snapshot_id", req.GetSnapshotId())
	if err != nil || !exists {
		return &csi.DeleteSnapshotResponse{}, err
	}
	return &csi.DeleteSnapshotResponse{}, d.remove(ctx, id, volume.Snapshot)
}

// deletable parses an ID to be deleted. One that Loam could not have made names nothing that exists (CSI spec,
// "DeleteVolume"), but one of another node must not be taken for deleted.
func (d *Driver) deletable(field, s string) (id volume.ID, exists bool, err error) {
	if s == "" {
		return volume.ID{}, false, invalid(field, "missing")
	}
	id, err = volume.ParseID(s)
	if errors.Is(err, volume.ErrID) {
		return volume.ID{}, false, nil
	}
	if id.Node != d.Node {
		return volume.ID{}, false, refuse(codes.FailedPrecondition, "%s: %s is on node %s, and this is node %s", field, s, id.Node, d.Node)
	}
	return id, true, nil
}

func (d *Driver) remove(ctx context.Context, id volume.ID, kind volume.Kind) error {
	if d.inUse(id) {
		return refuseInUse(kind, id)
	}
	found, exists, err := d.Pools.Find(ctx, id.LV)
	if err != nil {
		return err
	}
	if exists {
		defer found.Unlock()
		if err := decideRemove(found.Volume, id, kind); err != nil {
			return err
		}
		if err := d.carryOutRemoval(found); err != nil {
			return err
		}
	}
	return d.Intents.Done(id.LV)
}

// inUse says at once that a volume is in use. Kubernetes may ask for a deletion before the kubelet has unmounted: were that
// found out only when it is the call's turn in the volume group, unmounting would be refused meanwhile, as one call at a time
// is at work on a volume, and be tried ever more rarely.
func (d *Driver) inUse(id volume.ID) bool {
	v, ok := d.Pools.Recall(id.LV)
	if !ok {
		return false
	}
	device, err := d.Pools.LVM().Device(v.Group, v.LV.Name)
	return err == nil && device.UUID == v.LV.UUID && device.OpenCount > 0
}

func refuseInUse(kind volume.Kind, id volume.ID) error {
	return refuse(codes.FailedPrecondition, "%s %s is in use on this node; unpublish and unstage it first", kind, id)
}

// decideRemove refuses what is not of the kind that the call is for, and what is in use.
func decideRemove(v pool.Volume, id volume.ID, kind volume.Kind) error {
	if v.Record.Kind != kind {
		return refuse(codes.InvalidArgument, "%s is a %s, not a %s", id, v.Record.Kind, kind)
	}
	if v.LV.Open {
		return refuseInUse(kind, id)
	}
	return nil
}

func (d *Driver) carryOutRemoval(f pool.Found) error {
	if f.Config.Type == config.Thick && f.Config.Wipe != config.None {
		if err := d.Pools.LVM().Rename(f.Group, f.LV.Name, volume.WipingLV(f.LV.UUID)); err != nil {
			return err
		}
		d.Pools.WipeSoon()
	} else if err := d.Pools.LVM().Remove(f.Group, f.LV.Name); err != nil {
		return err
	}
	d.Pools.Forget(f.LV.Name)
	return nil
}
