package csi

import (
	"context"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// ListVolumes lists this node's volumes in order of their IDs. A token is the ID at which the next page begins, so that
// volumes that come or go between pages neither repeat nor hide others.
func (d *Driver) ListVolumes(ctx context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	all, err := d.list(ctx, volume.Volume)
	if err != nil {
		return nil, err
	}
	page, next, err := d.page(all, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	answer := &csi.ListVolumesResponse{NextToken: next}
	for _, v := range page {
		answer.Entries = append(answer.Entries, &csi.ListVolumesResponse_Entry{Volume: d.describe(v)})
	}
	return answer, nil
}

// ListSnapshots lists this node's snapshots, all or those of one ID or source; one that is not here is no error.
func (d *Driver) ListSnapshots(ctx context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	all, err := d.list(ctx, volume.Snapshot)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(v pool.Volume) bool {
		s := d.describeSnapshot(v)
		return req.GetSnapshotId() != "" && s.GetSnapshotId() != req.GetSnapshotId() ||
			req.GetSourceVolumeId() != "" && s.GetSourceVolumeId() != req.GetSourceVolumeId()
	})
	page, next, err := d.page(all, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	answer := &csi.ListSnapshotsResponse{NextToken: next}
	for _, v := range page {
		answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: d.describeSnapshot(v)})
	}
	return answer, nil
}

func (d *Driver) list(ctx context.Context, kind volume.Kind) ([]pool.Volume, error) {
	report, err := d.Pools.Report(ctx)
	if err != nil {
		return nil, err
	}
	all := pool.Volumes(d.Pools.All(), report)
	return slices.DeleteFunc(all, func(v pool.Volume) bool { return v.Record.Kind != kind }), nil
}

// page cuts a page out of what is in order of logical volume names.
func (d *Driver) page(all []pool.Volume, token string, most int32) (page []pool.Volume, next string, err error) {
	if most < 0 {
		return nil, "", invalid("max_entries", "must not be negative, is %d", most)
	}
	if token != "" {
		from, err := volume.ParseID(token)
		if err != nil || from.Node != d.Node {
			return nil, "", refuse(codes.Aborted, "starting_token: not a token of this list; start again without one")
		}
		i := slices.IndexFunc(all, func(v pool.Volume) bool { return v.LV.Name >= from.LV })
		if i < 0 {
			i = len(all)
		}
		all = all[i:]
	}
	if most == 0 || int(most) >= len(all) {
		return all, "", nil
	}
	return all[:most], volume.ID{Node: d.Node, LV: all[most].LV.Name}.String(), nil
}

// look finds a volume or snapshot in a fresh report, without a lock.
func (d *Driver) look(ctx context.Context, id volume.ID, kind volume.Kind) (pool.Volume, error) {
	report, err := d.Pools.Report(ctx)
	if err != nil {
		return pool.Volume{}, err
	}
	v, ok := pool.Find(d.Pools.All(), report, id.LV)
	if !ok || v.Record.Kind != kind {
		return pool.Volume{}, refuse(codes.NotFound, "%s %s does not exist", kind, id)
	}
	return v, nil
}
