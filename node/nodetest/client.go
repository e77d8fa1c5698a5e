package nodetest

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
)

// Controller is a client of the agent's controller service.
func (a Agent) Controller() csi.ControllerClient { return csi.NewControllerClient(a.Conn) }

// Node is a client of the agent's node service.
func (a Agent) Node() csi.NodeClient { return csi.NewNodeClient(a.Conn) }

// Capability is a single node's reading and writing of ext4, xfs, or, for "", a raw block volume.
func Capability(fs string) *csi.VolumeCapability {
	c := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}
	if fs == "" {
		c.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	} else {
		c.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fs}}
	}
	return c
}

// FromSnapshot is the content source that a snapshot is.
func FromSnapshot(s *csi.Snapshot) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: s.GetSnapshotId()},
	}}
}

// FromVolume is the content source that a volume is.
func FromVolume(v *csi.Volume) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: v.GetVolumeId()},
	}}
}

// Request is a request for a volume of that name, file system and size.
func Request(name, fs string, size lvm.Bytes) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name: name, VolumeCapabilities: []*csi.VolumeCapability{Capability(fs)},
		CapacityRange: &csi.CapacityRange{RequiredBytes: int64(size)},
	}
}

// Create creates a volume and fails the test if that fails.
func (a Agent) Create(t testing.TB, req *csi.CreateVolumeRequest) *csi.Volume {
	t.Helper()
	answer, err := a.Controller().CreateVolume(context.Background(), req)
	if err != nil {
		t.Fatalf("creating %s: %v", req.GetName(), err)
	}
	return answer.GetVolume()
}

// Snapshot takes a snapshot.
func (a Agent) Snapshot(t testing.TB, v *csi.Volume, name string) *csi.Snapshot {
	t.Helper()
	answer, err := a.Controller().CreateSnapshot(context.Background(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: v.GetVolumeId()})
	if err != nil {
		t.Fatalf("snapshot %s of %s: %v", name, v.GetVolumeId(), err)
	}
	return answer.GetSnapshot()
}

// Staging is the staging path that Mount uses for a volume, and Target the path where it publishes it.
func (a Agent) Staging(v *csi.Volume) string {
	return filepath.Join(a.Dir, "staging", filepath.Base(v.GetVolumeId()))
}

// Target is the path where Mount publishes a volume.
func (a Agent) Target(v *csi.Volume) string {
	return filepath.Join(a.Dir, "target", filepath.Base(v.GetVolumeId()))
}

// Stage stages a volume.
func (a Agent) Stage(t testing.TB, v *csi.Volume, fs string) {
	t.Helper()
	if err := os.MkdirAll(a.Staging(v), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := a.Node().NodeStageVolume(context.Background(), &csi.NodeStageVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: a.Staging(v), VolumeCapability: Capability(fs), VolumeContext: v.GetVolumeContext(),
	})
	if err != nil {
		t.Fatalf("staging %s: %v", v.GetVolumeId(), err)
	}
}

// Mount stages and publishes a volume, and returns its target.
func (a Agent) Mount(t testing.TB, v *csi.Volume, fs string) string {
	t.Helper()
	a.Stage(t, v, fs)
	if err := os.MkdirAll(filepath.Dir(a.Target(v)), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := a.Node().NodePublishVolume(context.Background(), &csi.NodePublishVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: a.Staging(v), TargetPath: a.Target(v),
		VolumeCapability: Capability(fs), VolumeContext: v.GetVolumeContext(),
	})
	if err != nil {
		t.Fatalf("publishing %s: %v", v.GetVolumeId(), err)
	}
	return a.Target(v)
}

// Unmount unpublishes and unstages a volume; nothing to do is fine.
func (a Agent) Unmount(t testing.TB, v *csi.Volume) {
	t.Helper()
	_, err := a.Node().NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: v.GetVolumeId(), TargetPath: a.Target(v)})
	if err != nil {
		t.Fatalf("unpublishing %s: %v", v.GetVolumeId(), err)
	}
	_, err = a.Node().NodeUnstageVolume(context.Background(), &csi.NodeUnstageVolumeRequest{VolumeId: v.GetVolumeId(), StagingTargetPath: a.Staging(v)})
	if err != nil {
		t.Fatalf("unstaging %s: %v", v.GetVolumeId(), err)
	}
}

// Delete deletes a volume.
func (a Agent) Delete(t testing.TB, v *csi.Volume) {
	t.Helper()
	if _, err := a.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: v.GetVolumeId()}); err != nil {
		t.Fatalf("deleting %s: %v", v.GetVolumeId(), err)
	}
}

// Expand grows a volume and, where it is mounted, its file system, and leaves nothing to do for NodeExpandVolume.
func (a Agent) Expand(t testing.TB, v *csi.Volume, size lvm.Bytes) {
	t.Helper()
	answer, err := a.Controller().ControllerExpandVolume(context.Background(), &csi.ControllerExpandVolumeRequest{
		VolumeId: v.GetVolumeId(), CapacityRange: &csi.CapacityRange{RequiredBytes: int64(size)},
	})
	if err != nil {
		t.Fatalf("expanding %s: %v", v.GetVolumeId(), err)
	}
	if answer.GetNodeExpansionRequired() {
		t.Errorf("expanding %s left its file system to the kubelet", v.GetVolumeId())
	}
}

// NodeExpand grows a mounted file system to its volume.
func (a Agent) NodeExpand(t testing.TB, v *csi.Volume, size lvm.Bytes) {
	t.Helper()
	_, err := a.Node().NodeExpandVolume(context.Background(), &csi.NodeExpandVolumeRequest{
		VolumeId: v.GetVolumeId(), VolumePath: a.Target(v), StagingTargetPath: a.Staging(v),
		CapacityRange: &csi.CapacityRange{RequiredBytes: int64(size)},
	})
	if err != nil {
		t.Fatalf("growing the file system of %s: %v", v.GetVolumeId(), err)
	}
}

// Capacity is what the agent says is available.
func (a Agent) Capacity(t testing.TB) lvm.Bytes {
	t.Helper()
	answer, err := a.Controller().GetCapacity(context.Background(), &csi.GetCapacityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return lvm.Bytes(answer.GetAvailableCapacity())
}
