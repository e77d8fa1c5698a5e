package csi

import (
	"context"

	"log/slog"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
)

const (
	testNode = "node-1"
	testSize = 32 * lvm.MiB
)

// testbed is a driver on a fake LVM with a thin pool "fast" and a thick pool "slow" of 90 GiB each, whose volumes are
// sparse files.
type testbed struct {
	*Driver
	fake *lvmtest.Fake
}

func newTestbed(t *testing.T) testbed {
	t.Helper()
	fake := lvmtest.NewFake(map[string]lvm.Bytes{"/dev/a": 100 * lvm.GiB, "/dev/b": 100 * lvm.GiB})
	fake.Dir = t.TempDir()
	fake.SetDevices([]string{"/dev/a", "/dev/b"})
	must(t, fake.CreateGroup(lvm.CreateGroup{Name: "loam-fast", Devices: []string{"/dev/a"}}))
	must(t, fake.CreateGroup(lvm.CreateGroup{Name: "loam-slow", Devices: []string{"/dev/b"}}))
	must(t, fake.CreatePool(lvm.CreatePool{VG: "loam-fast", Name: pool.LogicalVolume, Size: 90 * lvm.GiB}))
	c, err := config.Parse("test", []byte(`
pools:
- {name: fast, type: thin, devices: {paths: [/dev/a]}, thin: {overprovision: 2}}
- {name: slow, type: thick, devices: {paths: [/dev/b]}, reserve: 10%}
`))
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	pools := pool.New(fake, log)
	pools.Configure(c)
	return testbed{&Driver{
		Node: testNode, Version: "test", Pools: pools, Mounter: filesystem.Mounter{Root: t.TempDir()},
		Intents: Intents{Dir: t.TempDir()}, Log: log,
	}, fake}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request is for a raw block volume of testSize in pool fast, changed by each of change.
func request(name string, change ...func(*csi.CreateVolumeRequest)) *csi.CreateVolumeRequest {
	r := &csi.CreateVolumeRequest{
		Name: name, VolumeCapabilities: []*csi.VolumeCapability{block()}, Parameters: map[string]string{"pool": "fast"},
		CapacityRange: &csi.CapacityRange{RequiredBytes: int64(testSize)},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

func block() *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
	}
}

func mounted(fs string, flags ...string) *csi.VolumeCapability {
	c := block()
	c.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fs, MountFlags: flags}}
	return c
}

func size(n lvm.Bytes) func(*csi.CreateVolumeRequest) {
	return func(r *csi.CreateVolumeRequest) { r.CapacityRange = &csi.CapacityRange{RequiredBytes: int64(n)} }
}

func in(p string) func(*csi.CreateVolumeRequest) {
	return func(r *csi.CreateVolumeRequest) { r.Parameters["pool"] = p }
}

func with(c ...*csi.VolumeCapability) func(*csi.CreateVolumeRequest) {
	return func(r *csi.CreateVolumeRequest) { r.VolumeCapabilities = c }
}

func fromSnapshot(id string) func(*csi.CreateVolumeRequest) {
	return func(r *csi.CreateVolumeRequest) {
		r.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id},
		}}
	}
}

func fromVolume(id string) func(*csi.CreateVolumeRequest) {
	return func(r *csi.CreateVolumeRequest) {
		r.VolumeContentSource = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
			Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id},
		}}
	}
}

// create creates a volume, as through the interceptor: errors carry codes.
func (b testbed) create(r *csi.CreateVolumeRequest) (*csi.Volume, error) {
	answer, err := b.CreateVolume(context.Background(), r)
	return answer.GetVolume(), toStatus(err)
}

func (b testbed) mustCreate(t *testing.T, r *csi.CreateVolumeRequest) *csi.Volume {
	t.Helper()
	v, err := b.create(r)
	must(t, err)
	return v
}

func (b testbed) snapshot(source, name string) (*csi.Snapshot, error) {
	answer, err := b.CreateSnapshot(context.Background(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: source})
	return answer.GetSnapshot(), toStatus(err)
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

// lvs are the names of all logical volumes in pool fast.
func (b testbed) lvs(t *testing.T) []string {
	t.Helper()
	report, err := b.fake.Report(context.Background())
	must(t, err)
	vg, ok := report.VolumeGroup("loam-fast")
	if !ok {
		t.Fatal("the group is gone")
	}
	var names []string
	for _, lv := range vg.LVs {
		if !lv.Hidden {
			names = append(names, lv.Name)
		}
	}
	return names
}
