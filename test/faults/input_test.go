package faults

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func TestFault26BadInputNamesTheFieldAndChangesNothing(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	before := len(group(t, "loam-thin", disk).LVs)
	ctx := context.Background()
	flags := func(flag string) *csi.VolumeCapability {
		c := nodetest.Capability("ext4")
		c.GetMount().MountFlags = []string{flag}
		return c
	}
	create := func(change func(*csi.CreateVolumeRequest)) error {
		r := nodetest.Request("bad", "ext4", 64*lvm.MiB)
		change(r)
		_, err := agent.Controller().CreateVolume(ctx, r)
		return err
	}
	stage := func(id string, c *csi.VolumeCapability) error {
		_, err := agent.Node().NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: id, StagingTargetPath: t.TempDir(), VolumeCapability: c})
		return err
	}
	for _, c := range []struct {
		err  error
		code codes.Code
		says string
	}{
		{create(func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = -1 }), codes.InvalidArgument, "required_bytes"},
		{create(func(r *csi.CreateVolumeRequest) { r.CapacityRange.RequiredBytes = 1<<63 - 1 }), codes.OutOfRange, "required"},
		{create(func(r *csi.CreateVolumeRequest) { r.CapacityRange.LimitBytes = 1 }), codes.InvalidArgument, "limit_bytes"},
		{create(func(r *csi.CreateVolumeRequest) { r.Parameters = map[string]string{"pol": "thin"} }), codes.InvalidArgument, `parameters["pol"]`},
		{create(func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = nodetest.Capability("../../bin/x") }), codes.InvalidArgument, "fs_type"},
		{create(func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = flags("suid") }), codes.InvalidArgument, "mount_flags"},
		{create(func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = flags("X-mount.mkdir") }), codes.InvalidArgument, "mount_flags"},
		{create(func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities[0] = flags("loop") }), codes.InvalidArgument, "mount_flags"},
		{create(func(r *csi.CreateVolumeRequest) { r.Name = strings.Repeat("n", 1<<20) }), codes.InvalidArgument, "name"},
		{stage(nodetest.NodeID+"/../v", nodetest.Capability("ext4")), codes.NotFound, "volume_id"},
		{stage("v", nodetest.Capability("ext4")), codes.NotFound, "volume_id"},
		{stage(nodetest.NodeID+"/v/", nodetest.Capability("ext4")), codes.NotFound, "volume_id"},
		{stage(nodetest.NodeID+"/v\x00", nodetest.Capability("ext4")), codes.NotFound, "volume_id"},
		{stage(strings.Repeat("v", 1<<20), nodetest.Capability("ext4")), codes.NotFound, "volume_id"},
		{stage(nodetest.NodeID+"/v", flags("dev")), codes.InvalidArgument, "mount_flags"},
		{stage(nodetest.NodeID+"/v", nodetest.Capability("xfs")), codes.InvalidArgument, "ext4"},
		{stage(nodetest.NodeID+"/pool", nodetest.Capability("ext4")), codes.NotFound, "pool"},
	} {
		if status.Code(c.err) != c.code || !strings.Contains(status.Convert(c.err).Message(), c.says) {
			t.Errorf("answered %v, want %v naming %q", c.err, c.code, c.says)
		}
	}
	if after := len(group(t, "loam-thin", disk).LVs); after != before {
		t.Errorf("%d logical volumes after only refused calls, %d before", after, before)
	}
}

func TestFault27TargetsAreBeneathTheRootAndNoLinks(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	dir := t.TempDir()
	root, outside := filepath.Join(dir, "kubelet"), filepath.Join(dir, "outside")
	for _, d := range []string{root, outside, filepath.Join(root, "pods"), filepath.Join(root, "staging")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": outside, "pods/to-outside": outside, "pods/to-staging": filepath.Join(root, "staging")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: dir, KubeletDir: root})
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	staging := filepath.Join(root, "staging")
	ctx := context.Background()
	stage := func(path string) error {
		_, err := agent.Node().NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: v.GetVolumeId(), StagingTargetPath: path, VolumeCapability: nodetest.Capability("ext4")})
		return err
	}
	publish := func(path string) error {
		_, err := agent.Node().NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
			VolumeId: v.GetVolumeId(), StagingTargetPath: staging, TargetPath: path, VolumeCapability: nodetest.Capability("ext4"),
		})
		return err
	}
	for _, path := range []string{outside, root, root + "/link", root + "/link/x", root + "/../outside", "/etc", "relative", root + "/pods/to-outside"} {
		if err := stage(path); status.Code(err) != codes.InvalidArgument {
			t.Errorf("staging at %s: %v, want INVALID_ARGUMENT", path, err)
		}
	}
	if err := publish(root + "/pods/target"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("publishing what is not staged: %v, want FAILED_PRECONDITION", err)
	}
	if err := stage(staging); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{outside + "/x", root + "/link/x", root + "/pods/to-outside/x", root + "/pods/to-outside", root + "/pods/to-staging", root + "/pods/../../outside/x"} {
		if err := publish(path); status.Code(err) != codes.InvalidArgument {
			t.Errorf("publishing at %s: %v, want INVALID_ARGUMENT", path, err)
		}
	}
	if files, err := os.ReadDir(outside); err != nil || len(files) > 0 {
		t.Errorf("outside the root there is %v, %v", files, err)
	}
	other := agent.Create(t, nodetest.Request("other", "ext4", 64*lvm.MiB))
	_, err := agent.Node().NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: other.GetVolumeId(), StagingTargetPath: staging, VolumeCapability: nodetest.Capability("ext4")})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("staging over another volume's mount: %v, want FAILED_PRECONDITION", err)
	}
	if _, err := agent.Node().NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: v.GetVolumeId(), StagingTargetPath: staging}); err != nil {
		t.Error(err)
	}
}
