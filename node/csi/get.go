package csi

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// ControllerGetVolume describes one volume.
func (d *Driver) ControllerGetVolume(ctx context.Context, req *csi.ControllerGetVolumeRequest) (*csi.ControllerGetVolumeResponse, error) {
	id, err := d.localID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	v, err := d.look(ctx, id, volume.Volume)
	if err != nil {
		return nil, err
	}
	return &csi.ControllerGetVolumeResponse{Volume: d.describe(v), Status: &csi.ControllerGetVolumeResponse_VolumeStatus{}}, nil
}

// ValidateVolumeCapabilities says whether an existing volume can be used as asked; why not is in the message.
func (d *Driver) ValidateVolumeCapabilities(ctx context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if err := present("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, invalid("volume_capabilities", "missing")
	}
	id, err := d.localID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	v, err := d.look(ctx, id, volume.Volume)
	if err != nil {
		return nil, err
	}
	if why := mismatch(v, req); why != "" {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: why}, nil
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext: req.GetVolumeContext(), VolumeCapabilities: req.GetVolumeCapabilities(), Parameters: req.GetParameters(),
	}}, nil
}

func mismatch(v pool.Volume, req *csi.ValidateVolumeCapabilitiesRequest) string {
	how, err := parseAccesses(req.GetVolumeCapabilities())
	if err == nil {
		err = checkParameters("parameters", req.GetParameters(), volumeParams)
	}
	if err == nil {
		err = checkParameters("volume_context", req.GetVolumeContext(), contextKeys)
	}
	if err != nil {
		return err.Error()
	}
	if string(how.fs) != v.Record.FS {
		return fmt.Sprintf("the volume holds %s, and %s was asked for", contents(v.Record.FS), contents(how.fs))
	}
	for field, name := range map[string]string{"parameters": req.GetParameters()[paramPool], "volume_context": req.GetVolumeContext()[paramPool]} {
		if name != "" && name != v.Pool {
			return fmt.Sprintf("%s[pool]: the volume is in pool %s, not %s", field, v.Pool, name)
		}
	}
	return ""
}

// GetCapacity says what new volumes may have together, and the largest single one, of one pool or of all.
func (d *Driver) GetCapacity(ctx context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	pools, fs, err := d.parseCapacity(req)
	if err != nil {
		return nil, err
	}
	if t := req.GetAccessibleTopology(); t != nil && !d.here(t) {
		return &csi.GetCapacityResponse{}, nil
	}
	report, err := d.Pools.Report(ctx)
	if err != nil {
		return nil, err
	}
	var available, largest lvm.Bytes
	for _, p := range pools {
		if vg, ok := report.VolumeGroup(p.VolumeGroup); ok {
			room := pool.Space(p, vg)
			available += room.Available
			largest = max(largest, room.Largest)
		}
	}
	return &csi.GetCapacityResponse{
		AvailableCapacity: int64(available),
		MaximumVolumeSize: wrapperspb.Int64(int64(largest)),
		MinimumVolumeSize: wrapperspb.Int64(int64(filesystem.MinimumSize(fs))),
	}, nil
}

func (d *Driver) parseCapacity(req *csi.GetCapacityRequest) ([]config.Pool, filesystem.Type, error) {
	params := req.GetParameters()
	if err := checkParameters("parameters", params, volumeParams); err != nil {
		return nil, "", err
	}
	var how access
	if len(req.GetVolumeCapabilities()) > 0 {
		var err error
		if how, err = parseAccesses(req.GetVolumeCapabilities()); err != nil {
			return nil, "", err
		}
	}
	pools, err := d.Pools.Named(params[paramPool])
	if err != nil {
		return nil, "", invalid("parameters[pool]", "%v", err)
	}
	return pools, how.fs, nil
}
