package csi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/signature"
	"github.com/loam-storage/loam/node/volume"
)

// NodeStageVolume mounts a volume's file system once for the node. It never formats: what CreateVolume made must be
// there. A raw block volume has nothing to stage.
func (d *Driver) NodeStageVolume(ctx context.Context, req *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	want, err := d.parseStage(req)
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
	if v.Record.FS != "" {
		err = d.stage(ctx, v, want)
	}
	return &csi.NodeStageVolumeResponse{}, err
}

// use is a request to stage or publish that can be acted on.
type use struct {
	id       volume.ID
	how      access
	staging  string
	target   string
	readOnly bool
}

func (d *Driver) parseStage(req *csi.NodeStageVolumeRequest) (use, error) {
	if err := present("volume_id", req.GetVolumeId(), "staging_target_path", req.GetStagingTargetPath()); err != nil {
		return use{}, err
	}
	if err := checkParameters("volume_context", req.GetVolumeContext(), contextKeys); err != nil {
		return use{}, err
	}
	how, err := parseAccess("volume_capability", req.GetVolumeCapability())
	if err != nil {
		return use{}, err
	}
	id, err := d.localID("volume_id", req.GetVolumeId())
	return use{id: id, how: how, staging: req.GetStagingTargetPath()}, err
}

// stage mounts unless that is done already, and lets the file system follow a volume that grew meanwhile.
func (d *Driver) stage(ctx context.Context, v live, want use) error {
	m, mounted, err := d.Mounter.Lookup(want.staging)
	if err != nil {
		return err
	}
	if mounted && !isDevice(m, v) {
		return refuse(codes.FailedPrecondition, "staging_target_path: %s is a mount of another device (%s)", want.staging, m.Source)
	}
	if !mounted {
		if err := d.mount(ctx, v, want); err != nil {
			return err
		}
	}
	if want.how.readOnly {
		return nil
	}
	return filesystem.Grow(ctx, filesystem.GrowRequest{Device: v.device.Path, MountPoint: want.staging, Type: want.how.fs})
}

// damage is what mount(2) fails with when a file system is not as it should be.
var damage = []error{unix.EUCLEAN, unix.EBADMSG, unix.EINVAL, unix.EIO}

func (d *Driver) mount(ctx context.Context, v live, want use) error {
	found, err := signature.Read(ctx, v.device.Path)
	if err != nil {
		return err
	}
	if found.Type != v.Record.FS {
		if words := filesystem.Check(ctx, v.device.Path, want.how.fs); words != nil { // so corrupt that nothing else knows it
			return fmt.Errorf("volume %s: %w", want.id, words)
		}
		return refuse(codes.FailedPrecondition, "volume %s should hold %s and holds %v; it is not formatted here, as that could destroy data", want.id, v.Record.FS, found)
	}
	err = d.Mounter.Stage(filesystem.StageRequest{
		Device: v.device.Path, Target: want.staging, Type: want.how.fs, Options: want.how.options, ReadOnly: want.how.readOnly,
		Thin: d.isThin(v.Volume),
	})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("mounting volume %s: %w", want.id, err)
	if !slices.ContainsFunc(damage, func(e error) bool { return errors.Is(err, e) }) {
		return err
	}
	// The kernel says little of why; the file system's own checker says more, and changes nothing.
	if words := filesystem.Check(ctx, v.device.Path, want.how.fs); words != nil {
		return fmt.Errorf("%w: %w", err, words)
	}
	return err
}

func (d *Driver) isThin(v pool.Volume) bool {
	pools, err := d.Pools.Named(v.Pool)
	return err == nil && pools[0].Type == config.Thin
}

func isDevice(m filesystem.Mount, v live) bool {
	return m.Major == v.device.Major && m.Minor == v.device.Minor
}

// NodeUnstageVolume unmounts what NodeStageVolume mounted. What is not mounted is done already, also when the volume is
// gone.
func (d *Driver) NodeUnstageVolume(_ context.Context, req *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	if err := present("volume_id", req.GetVolumeId(), "staging_target_path", req.GetStagingTargetPath()); err != nil {
		return nil, err
	}
	if _, err := d.localID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	return &csi.NodeUnstageVolumeResponse{}, d.Mounter.Unmount(req.GetStagingTargetPath())
}
