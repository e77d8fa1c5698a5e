package csi

import (
	"context"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// CreateSnapshot takes a read-only thin snapshot, or finds the one that an earlier call of that name took. A mounted
// file system is frozen meanwhile by device-mapper, so that the snapshot is consistent.
func (d *Driver) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	source, err := d.parseSnapshot(req)
	if err != nil {
		return nil, err
	}
	found, err := d.held(ctx, source, volume.Volume)
	if err != nil {
		return nil, err
	}
	defer found.Unlock()
	snapshot, exists, err := d.decideSnapshot(found, req.GetName())
	if err != nil {
		return nil, err
	}
	if exists {
		return &csi.CreateSnapshotResponse{Snapshot: d.describeSnapshot(snapshot)}, d.Pools.LVM().Flush(snapshot.Group)
	}
	err = d.Pools.LVM().CreateSnapshot(lvm.CreateSnapshot{
		VG: snapshot.Group, Pool: found.LV.Pool, Origin: found.LV.Name, Name: snapshot.LV.Name, Tags: snapshot.Record.Tags(),
	})
	if err != nil {
		return nil, err
	}
	snapshot.LV.Created = time.Now()
	d.Pools.Note(snapshot)
	return &csi.CreateSnapshotResponse{Snapshot: d.describeSnapshot(snapshot)}, nil
}

func (d *Driver) parseSnapshot(req *csi.CreateSnapshotRequest) (volume.ID, error) {
	if err := checkName(req.GetName()); err != nil {
		return volume.ID{}, err
	}
	if err := checkParameters("parameters", req.GetParameters(), snapshotParams); err != nil {
		return volume.ID{}, err
	}
	return d.localID("source_volume_id", req.GetSourceVolumeId())
}

// decideSnapshot is the decision: the snapshot that is there, or the one to take.
func (d *Driver) decideSnapshot(source pool.Found, name string) (v pool.Volume, exists bool, err error) {
	lv := volume.SnapshotLV(name)
	if has, taken := source.VG.LV(lv); taken {
		rec, ours := volume.Read(has)
		if !ours || rec.Kind != volume.Snapshot || rec.Name != name || rec.Source != source.LV.Name {
			return v, false, refuse(codes.AlreadyExists, "name: %q is taken by a snapshot of another volume (logical volume %s)", name, lv)
		}
		return pool.Volume{Pool: source.Pool, Group: source.Group, LV: has, Record: rec}, true, nil
	}
	if group, taken := pool.Taken(d.Pools.All(), source.Report, lv); taken {
		return v, false, refuse(codes.AlreadyExists, "name: %q is taken by logical volume %s of volume group %s", name, lv, group)
	}
	if source.Config.Type != config.Thin {
		return v, false, invalid("source_volume_id", "pool %s is thick; snapshots and clones need a thin pool", source.Pool)
	}
	mapped := source.LV.Size
	if device, err := d.Pools.LVM().Device(source.Group, source.LV.Name); err == nil && device.Mapped >= 0 {
		mapped = device.Mapped
	}
	if err := pool.Space(source.Config, source.VG).Admit(mapped); err != nil {
		return v, false, err
	}
	return pool.Volume{
		Pool: source.Pool, Group: source.Group,
		LV:     lvm.LogicalVolume{Name: lv, Size: source.LV.Size},
		Record: volume.Record{Kind: volume.Snapshot, Name: name, FS: source.Record.FS, Source: source.LV.Name, Claim: source.Record.Claim, Mapped: mapped},
	}, false, nil
}

// GetSnapshot describes one snapshot.
func (d *Driver) GetSnapshot(ctx context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	id, err := d.localID("snapshot_id", req.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	v, err := d.look(ctx, id, volume.Snapshot)
	if err != nil {
		return nil, err
	}
	return &csi.GetSnapshotResponse{Snapshot: d.describeSnapshot(v)}, nil
}

func (d *Driver) describeSnapshot(v pool.Volume) *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     volume.ID{Node: d.Node, LV: v.LV.Name}.String(),
		SourceVolumeId: volume.ID{Node: d.Node, LV: v.Record.Source}.String(),
		SizeBytes:      int64(v.LV.Size),
		CreationTime:   timestamppb.New(v.LV.Created.Truncate(time.Second)), // LVM keeps whole seconds
		ReadyToUse:     true,
	}
}
