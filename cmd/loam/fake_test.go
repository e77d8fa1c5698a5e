package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

// then is when everything in the fake was made, and now is when the commands are given.
var (
	then = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	now  = then.Add(5 * time.Minute)
)

// fakeAgent keeps volumes in memory and serves them as an agent does.
type fakeAgent struct {
	csi.UnimplementedControllerServer
	csi.UnimplementedNodeServer

	mu          sync.Mutex // guards what follows
	info        admin.Info
	disks       []admin.Disk
	pools       []admin.Pool
	volumes     []admin.Volume
	restoration admin.Restoration
	refuse      map[string]error // by method: answer instead
	asked       []string         // methods that change something, in order
}

// startAgent serves a fake with one pool on sockets in a directory of the test.
func startAgent(t *testing.T) (f *fakeAgent, dir string) {
	t.Helper()
	dir = t.TempDir()
	socket := filepath.Join(dir, "csi.sock")
	f = &fakeAgent{
		info: admin.Info{Node: "n1", Version: "v0.1.0", Driver: "loam.storage", KubeletDir: "/", CSISocket: socket, ConfigPath: "/etc/loam/config.yaml"},
		disks: []admin.Disk{
			{Path: "/dev/sda", Size: 100 * lvm.GiB, Kind: "disk", Model: "FAST 100", State: admin.DiskTaken, Pool: "fast", VolumeGroup: "loam-fast"},
			{Path: "/dev/sdb", Size: 1500 * lvm.MiB, Kind: "disk", State: admin.DiskRefused, Pool: "fast", Reason: "holds an ext4 file system"},
		},
		pools: []admin.Pool{{
			Name: "fast", Type: "thin", VolumeGroup: "loam-fast", Ready: true, Size: 99 * lvm.GiB, Used: 1536 * lvm.MiB, Promised: 10 * lvm.GiB,
			Available: 89 * lvm.GiB, Largest: 89 * lvm.GiB, ThinPool: "pool", ExtendAt: 79 * lvm.GiB, DataPercent: 1.5, MetadataPercent: 0.4, Volumes: 1, Snapshots: 0, Devices: []string{"/dev/sda"},
		}},
		restoration: admin.Restoration{
			Pool: "fast", VolumeGroup: "loam-fast", Backup: "/var/lib/loam/backup/loam-fast", Change: 42, Created: then,
			Devices: []admin.RestorationDevice{{Path: "/dev/sda", UUID: "4e5vZF-bTy0-Rx0j-fsQ5-4h0i-956k-1Mfk1m", Found: "no label of a physical volume", Repair: true}},
			Commands: []string{
				"pvck --repair --yes --file /var/lib/loam/backup/loam-fast --settings pv_uuid=4e5vZF-bTy0-Rx0j-fsQ5-4h0i-956k-1Mfk1m /dev/sda",
			},
		},
		refuse: map[string]error{},
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(f.intercept))
	csi.RegisterControllerServer(server, f)
	csi.RegisterNodeServer(server, f)
	web := &http.Server{Handler: admin.Handler(f)}
	var running sync.WaitGroup
	for path, serve := range map[string]func(net.Listener) error{socket: server.Serve, admin.SocketBeside(socket): web.Serve} {
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = serve(listener) })
	}
	t.Cleanup(func() {
		server.Stop()
		web.Close()
		running.Wait()
	})
	return f, dir
}

// loam runs one command line against the fake in that directory.
func loam(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	a := &app{stdout: &out, stderr: &errs, now: func() time.Time { return now }, getenv: func(string) string { return "" }}
	if !slices.Contains(args, "--socket") {
		args = append(slices.Clone(args), "--socket", filepath.Join(dir, "csi.sock"))
	}
	code = a.run(context.Background(), args)
	return out.String(), errs.String(), code
}

func (f *fakeAgent) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	method := info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:]
	f.asked = append(f.asked, method)
	if err := f.refuse[method]; err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (f *fakeAgent) Info() admin.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.info
}

func (f *fakeAgent) Disks(context.Context) ([]admin.Disk, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disks, nil
}

func (f *fakeAgent) Pools(context.Context) ([]admin.Pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pools, f.refuse["Pools"]
}

func (f *fakeAgent) Restoration(_ context.Context, pool string) (admin.Restoration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.restoration, f.refuse["Restoration"]
}

func (f *fakeAgent) Volumes(context.Context) ([]admin.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.volumes), nil
}

// at is the place of a volume; the interceptor holds the lock.
func (f *fakeAgent) at(id string) int {
	return slices.IndexFunc(f.volumes, func(v admin.Volume) bool { return v.ID == id })
}

func (f *fakeAgent) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	id := "n1/" + req.GetName()
	if f.at(id) < 0 {
		v := admin.Volume{
			ID: id, Name: req.GetName(), LV: req.GetName(), Kind: admin.KindVolume, Pool: "fast", VolumeGroup: "loam-fast",
			Size: lvm.Bytes(req.GetCapacityRange().GetRequiredBytes()), Used: lvm.MiB, FS: req.GetVolumeCapabilities()[0].GetMount().GetFsType(),
			Created: then, Active: true,
		}
		source := req.GetVolumeContentSource().GetSnapshot().GetSnapshotId() + req.GetVolumeContentSource().GetVolume().GetVolumeId()
		v.Source = strings.TrimPrefix(source, "n1/")
		f.volumes = append(f.volumes, v)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: id}}, nil
}

func (f *fakeAgent) ControllerExpandVolume(_ context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	v := &f.volumes[f.at(req.GetVolumeId())]
	v.Size = lvm.Bytes(req.GetCapacityRange().GetRequiredBytes())
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: int64(v.Size), NodeExpansionRequired: v.FS != ""}, nil
}

func (f *fakeAgent) CreateSnapshot(_ context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	s := f.volumes[f.at(req.GetSourceVolumeId())]
	s.Source, s.Name, s.LV, s.Kind, s.Mounts = s.LV, req.GetName(), "snap-"+req.GetName(), admin.KindSnapshot, nil
	s.ID = "n1/" + s.LV
	f.volumes = append(f.volumes, s)
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{SnapshotId: s.ID}}, nil
}

func (f *fakeAgent) remove(id string) {
	f.volumes = slices.DeleteFunc(f.volumes, func(v admin.Volume) bool { return v.ID == id })
}

func (f *fakeAgent) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	f.remove(req.GetVolumeId())
	return &csi.DeleteVolumeResponse{}, nil
}

func (f *fakeAgent) DeleteSnapshot(_ context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	f.remove(req.GetSnapshotId())
	return &csi.DeleteSnapshotResponse{}, nil
}

func (f *fakeAgent) NodeStageVolume(_ context.Context, req *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	if _, err := os.Stat(req.GetStagingTargetPath()); err != nil {
		return nil, status.Error(codes.InvalidArgument, "staging_target_path: missing") // CSI leaves it to the caller to make it
	}
	f.mounted(req.GetVolumeId(), req.GetStagingTargetPath())
	return &csi.NodeStageVolumeResponse{}, nil
}

func (f *fakeAgent) NodePublishVolume(_ context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	f.mounted(req.GetVolumeId(), req.GetTargetPath())
	return &csi.NodePublishVolumeResponse{}, nil
}

func (f *fakeAgent) mounted(id, path string) {
	if v := &f.volumes[f.at(id)]; !slices.Contains(v.Mounts, path) {
		v.Mounts = append(v.Mounts, path)
	}
}

func (f *fakeAgent) unmounted(id, path string) {
	v := &f.volumes[f.at(id)]
	v.Mounts = slices.DeleteFunc(v.Mounts, func(m string) bool { return m == path })
}

func (f *fakeAgent) NodeUnpublishVolume(_ context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	f.unmounted(req.GetVolumeId(), req.GetTargetPath())
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

func (f *fakeAgent) NodeUnstageVolume(_ context.Context, req *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	f.unmounted(req.GetVolumeId(), req.GetStagingTargetPath())
	return &csi.NodeUnstageVolumeResponse{}, nil
}

func (f *fakeAgent) NodeExpandVolume(_ context.Context, req *csi.NodeExpandVolumeRequest) (*csi.NodeExpandVolumeResponse, error) {
	if !slices.Contains(f.volumes[f.at(req.GetVolumeId())].Mounts, req.GetVolumePath()) {
		return nil, status.Errorf(codes.NotFound, "volume_path: nothing is mounted on %s", req.GetVolumePath())
	}
	return &csi.NodeExpandVolumeResponse{}, nil
}
