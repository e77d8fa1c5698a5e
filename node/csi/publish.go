package csi

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/filesystem"
)

// NodePublishVolume binds a staged file system, or a raw block volume's device, to where a pod expects it.
func (d *Driver) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	want, err := d.parsePublish(req)
	if err != nil {
		return nil, err
	}
	v, err := d.active(ctx, want.id)
	if err != nil {
		return nil, err
	}
	if v.Record.FS != string(want.how.fs) {
		return nil, invalid("volume_capability", "the volume holds %s, and %s was asked for", contents(v.Record.FS), contents(want.how.fs))
	}
	if want.how.singleWriter {
		if err := d.onlyTarget(v, want); err != nil {
			return nil, err
		}
	}
	return &csi.NodePublishVolumeResponse{}, d.publish(v, want)
}

func (d *Driver) parsePublish(req *csi.NodePublishVolumeRequest) (use, error) {
	if err := present("volume_id", req.GetVolumeId(), "target_path", req.GetTargetPath()); err != nil {
		return use{}, err
	}
	how, err := parseAccess("volume_capability", req.GetVolumeCapability())
	if err != nil {
		return use{}, err
	}
	want := use{how: how, staging: req.GetStagingTargetPath(), target: req.GetTargetPath()}
	if want.id, err = d.localID("volume_id", req.GetVolumeId()); err != nil {
		return use{}, err
	}
	if want.staging == "" && want.how.fs != "" {
		return use{}, refuse(codes.FailedPrecondition, "staging_target_path: missing")
	}
	want.readOnly = req.GetReadonly() || want.how.readOnly
	return want, nil
}

// publish binds; a file system only from a staging path that is a mount of the volume's own device, as a reboot leaves an
// empty folder of the root file system there.
func (d *Driver) publish(v live, want use) error {
	bind := filesystem.BindRequest{Source: v.device.Path, Target: want.target, ReadOnly: want.readOnly, Device: true}
	if v.Record.FS != "" {
		if err := d.mountedAt(v, want.staging); err != nil {
			return err
		}
		bind.Source, bind.Device = want.staging, false
	}
	return d.Mounter.Bind(bind)
}

// mountedAt refuses a path at which the volume's own file system is not mounted.
func (d *Driver) mountedAt(v live, path string) error {
	m, mounted, err := d.Mounter.Lookup(path)
	if err != nil {
		return err
	}
	if !mounted {
		return refuse(codes.FailedPrecondition, "%s: nothing is mounted there; stage volume %s first", path, v.Record.Name)
	}
	if !isDevice(m, v) {
		return refuse(codes.FailedPrecondition, "%s: a mount of another device (%s), not of volume %s", path, m.Source, v.Record.Name)
	}
	return nil
}

// onlyTarget refuses a second target of a volume for a single writer (CSI spec, SINGLE_NODE_SINGLE_WRITER).
func (d *Driver) onlyTarget(v live, want use) error {
	mounts, err := d.Mounter.MountsOf(v.device.Major, v.device.Minor)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Target != want.target && m.Target != want.staging {
			return refuse(codes.FailedPrecondition, "volume %s is for a single writer and is published at %s already", want.id, m.Target)
		}
	}
	return nil
}

// NodeUnpublishVolume undoes NodePublishVolume: it unmounts, and removes the empty target. What is not there is done.
func (d *Driver) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := present("volume_id", req.GetVolumeId(), "target_path", req.GetTargetPath()); err != nil {
		return nil, err
	}
	if _, err := d.localID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	if err := d.Mounter.Unmount(req.GetTargetPath()); err != nil {
		return nil, err
	}
	return &csi.NodeUnpublishVolumeResponse{}, d.Mounter.Remove(req.GetTargetPath())
}
