package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// ailment is something that is wrong with a volume, or with the pool that it is in.
type ailment struct {
	reason  string // in one word, as conditions of pools are called
	lost    bool   // the volume cannot be reached, or the whole pool; else it can be used, not as well as it should
	message string
}

// ailments of a volume are those of its pool and its own. One that is not active is none: it is activated when it is staged.
func ailments(v pool.Volume, vg lvm.VolumeGroup) []ailment {
	if vg.Silent() {
		return poolAilments(vg)
	}
	if v.LV.Health == lvm.PartialLV {
		return []ailment{{"DeviceMissing", true, "a disk that it is on is missing"}}
	}
	var all []ailment
	if v.LV.Segment == lvm.Thin {
		all = poolAilments(vg)
	}
	switch {
	case v.LV.Suspended:
		all = append(all, ailment{"Suspended", true, "it is suspended: whoever reads or writes it waits"})
	case v.LV.Health == lvm.Failed:
		all = append(all, ailment{"VolumeFailed", true, "its thin pool does not know it: it returns errors"})
	}
	return all
}

// poolAilments are those of a volume group and its thin pool, of which LVM and the kernel tell.
func poolAilments(vg lvm.VolumeGroup) []ailment {
	var all []ailment
	switch {
	case vg.Silent():
		return []ailment{{"DeviceSilent", true, fmt.Sprintf("%d of the %d disks of volume group %s do not answer", vg.MissingPVs, len(vg.PVs), vg.Name)}}
	case vg.MissingPVs > 0:
		all = append(all, ailment{"DeviceMissing", vg.MissingPVs == len(vg.PVs), fmt.Sprintf("%d of the %d disks of volume group %s are missing", vg.MissingPVs, len(vg.PVs), vg.Name)})
	}
	lv, ok := pool.ThinPool(vg)
	switch {
	case !ok:
	case lv.Suspended:
		all = append(all, ailment{"Suspended", true, "its thin pool is suspended: whoever reads or writes it waits"})
	case lv.Health == lvm.Failed:
		all = append(all, ailment{"PoolFailed", true, "its thin pool has failed: it returns errors"})
	case lv.Health == lvm.NeedsCheck:
		all = append(all, ailment{"PoolNeedsCheck", false, "its thin pool's metadata must be checked before they can be written"})
	case lv.Health == lvm.MetadataReadOnly:
		all = append(all, ailment{"PoolReadOnly", false, "its thin pool cannot be written where nothing was written yet"})
	case lv.Health == lvm.OutOfData:
		all = append(all, ailment{"OutOfData", false, "its thin pool is full: writing where nothing was written yet is an error"})
	}
	return all
}

// NodeGetVolumeHealth says what is wrong with a volume on this node, its file system included.
func (d *Driver) NodeGetVolumeHealth(ctx context.Context, req *csi.NodeGetVolumeHealthRequest) (*csi.NodeGetVolumeHealthResponse, error) {
	health, err := d.health(ctx, req.GetVolumeId())
	return &csi.NodeGetVolumeHealthResponse{VolumeHealth: health}, err
}

// ControllerGetVolumeHealth is the same: a volume is on one node.
func (d *Driver) ControllerGetVolumeHealth(ctx context.Context, req *csi.ControllerGetVolumeHealthRequest) (*csi.ControllerGetVolumeHealthResponse, error) {
	health, err := d.health(ctx, req.GetVolumeId())
	return &csi.ControllerGetVolumeHealthResponse{VolumeHealth: health}, err
}

// ControllerListVolumeHealth lists the volumes with which something is wrong, a page of all volumes at a time as ListVolumes does.
func (d *Driver) ControllerListVolumeHealth(ctx context.Context, req *csi.ControllerListVolumeHealthRequest) (*csi.ControllerListVolumeHealthResponse, error) {
	report, err := d.lastReport(ctx)
	if err != nil {
		return nil, err
	}
	var ailing []pool.Volume
	health := map[string]*csi.VolumeHealth{}
	for _, v := range pool.Volumes(d.Pools.All(), report) {
		if v.Record.Kind != volume.Volume {
			continue
		}
		if h := d.healthOf(v, report); len(h.GetHealthStatuses()) > 0 {
			ailing, health[v.LV.Name] = append(ailing, v), h
		}
	}
	page, next, err := d.page(ailing, req.GetStartingToken(), req.GetMaxEntries())
	if err != nil {
		return nil, err
	}
	answer := &csi.ControllerListVolumeHealthResponse{NextToken: next}
	for _, v := range page {
		answer.Entries = append(answer.Entries, health[v.LV.Name])
	}
	return answer, nil
}

// NodeGetStorageHealth says what is wrong with the pools of this node; each ailment once, with all pools that have it.
func (d *Driver) NodeGetStorageHealth(ctx context.Context, _ *csi.NodeGetStorageHealthRequest) (*csi.NodeGetStorageHealthResponse, error) {
	report, err := d.lastReport(ctx)
	if err != nil {
		return nil, err
	}
	answer := &csi.NodeGetStorageHealthResponse{}
	for _, p := range d.Pools.All() {
		vg, _ := report.VolumeGroup(p.VolumeGroup)
		found := poolAilments(vg)
		if problem := d.Pools.Problem(p.Name); problem != "" && len(found) == 0 && !d.Pools.IsElsewhere(p.Name) {
			found = []ailment{{"PoolNotReady", true, problem}}
		}
		for _, a := range found {
			answer.BackendHealth = withBackend(answer.BackendHealth, p.Name, a)
		}
	}
	return answer, nil
}

type backendHealth = csi.NodeGetStorageHealthResponse_StorageBackendHealth

// withBackend adds a pool's ailment to those of others.
func withBackend(all []*backendHealth, pool string, a ailment) []*backendHealth {
	status, message := csi.StorageHealthErrorType_STORAGE_DEGRADED, "pool "+pool+": "+a.message
	if a.lost {
		status = csi.StorageHealthErrorType_STORAGE_UNREACHABLE
	}
	for _, b := range all {
		if b.GetStatus() == status && b.GetReason() == a.reason {
			b.Message += "; " + message
			return all
		}
	}
	return append(all, &backendHealth{Status: status, Reason: a.reason, Message: message})
}

// lastReport is what was last seen of the pools, some seconds ago at most, so that health waits for nothing.
func (d *Driver) lastReport(ctx context.Context) (lvm.Report, error) {
	if report, at := d.Pools.Last(); !at.IsZero() {
		return report, nil
	}
	return d.Pools.Report(ctx)
}

func (d *Driver) health(ctx context.Context, s string) (*csi.VolumeHealth, error) {
	if err := present("volume_id", s); err != nil {
		return nil, err
	}
	id, err := d.localID("volume_id", s)
	if err != nil {
		return nil, err
	}
	report, err := d.lastReport(ctx)
	if err != nil {
		return nil, err
	}
	v, ok := pool.Find(d.Pools.All(), report, id.LV)
	if !ok { // it may be newer than that
		if report, err = d.Pools.Report(ctx); err != nil {
			return nil, err
		}
		v, ok = pool.Find(d.Pools.All(), report, id.LV)
	}
	if !ok || v.Record.Kind != volume.Volume {
		return nil, refuse(codes.NotFound, "volume %s does not exist", id)
	}
	return d.healthOf(v, report), nil
}

func (d *Driver) healthOf(v pool.Volume, report lvm.Report) *csi.VolumeHealth {
	vg, _ := report.VolumeGroup(v.Group)
	found := ailments(v, vg)
	if len(found) == 0 && v.LV.Open && v.Record.FS != "" && d.fileSystemFailed(v) {
		found = []ailment{{"FileSystemFailed", false, "its file system has found errors and may take no more writes: it is to be checked once it is unmounted"}}
	}
	h := &csi.VolumeHealth{VolumeId: volume.ID{Node: d.Node, LV: v.LV.Name}.String()}
	for _, a := range found {
		status := csi.VolumeHealthErrorType_DEGRADED
		if a.lost {
			status = csi.VolumeHealthErrorType_INACCESSIBLE
		}
		h.HealthStatuses = append(h.HealthStatuses, &csi.VolumeHealth_VolumeHealthEntry{Status: status, Reason: a.reason, Message: a.message})
	}
	return h
}

// fileSystemFailed is false also where it cannot be known: what keeps it from being known is told by other means.
func (d *Driver) fileSystemFailed(v pool.Volume) bool {
	device, err := d.Pools.LVM().Device(v.Group, v.LV.Name)
	if err != nil {
		return false
	}
	failed, err := filesystem.Failing([]lvm.Device{device})
	return err == nil && len(failed) > 0
}
