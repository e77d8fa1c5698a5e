package csi

import (
	"context"
	"errors"
	"io/fs"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// NodeGetVolumeStats says how full a volume is. It starts no process and waits for no lock.
func (d *Driver) NodeGetVolumeStats(_ context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	if err := present("volume_id", req.GetVolumeId(), "volume_path", req.GetVolumePath()); err != nil {
		return nil, err
	}
	id, err := d.localID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	v, err := d.running(id)
	if err != nil {
		return nil, err
	}
	if v.Record.FS != "" {
		// After a reboot there is a folder of the root file system, whose figures are not the volume's.
		if m, mounted, err := d.Mounter.Lookup(req.GetVolumePath()); err == nil && (!mounted || !isDevice(m, v)) {
			return nil, refuse(codes.NotFound, "volume_path: volume %s is not mounted at %s", id, req.GetVolumePath())
		}
	}
	usage, err := filesystem.UsageOf(req.GetVolumePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(codes.NotFound, "volume_path: %s does not exist", req.GetVolumePath())
	}
	if err != nil {
		return nil, err
	}
	return v.stats(usage), nil
}

// running is a volume that is active and was seen by LVM before; it asks only the kernel.
func (d *Driver) running(id volume.ID) (live, error) {
	var v pool.Volume
	device := lvm.Device{}
	err := lvm.ErrNoDevice
	v, ok := d.Pools.Recall(id.LV)
	if ok {
		device, err = d.Pools.LVM().Device(v.Group, v.LV.Name)
	}
	if errors.Is(err, lvm.ErrNoDevice) {
		return live{}, refuse(codes.NotFound, "volume %s is not active on this node", id)
	}
	return live{v, device}, err
}

func (v live) stats(u filesystem.Usage) *csi.NodeGetVolumeStatsResponse {
	bytes := &csi.VolumeUsage{Unit: csi.VolumeUsage_BYTES, Total: int64(u.Total), Available: int64(u.Available), Used: int64(u.Used)}
	if u.Block {
		bytes.Used = int64(max(0, v.device.Mapped)) // of a thin volume; nobody knows of a thick one
		return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{bytes}}
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: []*csi.VolumeUsage{bytes, {
		Unit: csi.VolumeUsage_INODES, Total: u.Inodes, Available: u.InodesFree, Used: u.Inodes - u.InodesFree,
	}}}
}
