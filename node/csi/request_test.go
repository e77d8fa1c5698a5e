package csi

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
)

func TestBadCreateNamesTheFieldAndChangesNothing(t *testing.T) {
	b := newTestbed(t)
	before := b.lvs(t)
	params := func(k, v string) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) { r.Parameters[k] = v }
	}
	capacity := func(required, limit int64) func(*csi.CreateVolumeRequest) {
		return func(r *csi.CreateVolumeRequest) {
			r.CapacityRange = &csi.CapacityRange{RequiredBytes: required, LimitBytes: limit}
		}
	}
	shared := block()
	shared.AccessMode.Mode = csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER
	neither := block()
	neither.AccessType = nil
	group := mounted("ext4")
	group.GetMount().VolumeMountGroup = "1000"
	elsewhere := func(r *csi.CreateVolumeRequest) {
		r.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: []*csi.Topology{{Segments: map[string]string{TopologyKey: "node-2"}}}}
	}
	for _, c := range []struct {
		r    *csi.CreateVolumeRequest
		code codes.Code
		says string
	}{
		{request(""), codes.InvalidArgument, "name"},
		{request(strings.Repeat("n", 1<<20)), codes.InvalidArgument, "name"},
		{request("v", with()), codes.InvalidArgument, "volume_capabilities"},
		{request("v", with(nil)), codes.InvalidArgument, "volume_capabilities[0]"},
		{request("v", with(shared)), codes.InvalidArgument, "volume_capabilities[0].access_mode"},
		{request("v", with(neither)), codes.InvalidArgument, "volume_capabilities[0].access_type"},
		{request("v", with(block(), mounted("ext4"))), codes.InvalidArgument, "volume_capabilities[1]"},
		{request("v", with(mounted("btrfs"))), codes.InvalidArgument, "fs_type"},
		{request("v", with(mounted("../../bin/x"))), codes.InvalidArgument, "fs_type"},
		{request("v", with(mounted("ext4", "suid"))), codes.InvalidArgument, "mount_flags"},
		{request("v", with(mounted("ext4", "X-mount.mkdir"))), codes.InvalidArgument, "mount_flags"},
		{request("v", with(mounted("xfs", "loop"))), codes.InvalidArgument, "mount_flags"},
		{request("v", with(group)), codes.InvalidArgument, "volume_mount_group"},
		{request("v", capacity(-1, 0)), codes.InvalidArgument, "required_bytes"},
		{request("v", capacity(0, -1)), codes.InvalidArgument, "limit_bytes"},
		{request("v", capacity(2, 1)), codes.InvalidArgument, "limit_bytes"},
		{request("v", capacity(math.MaxInt64, 0)), codes.OutOfRange, "required"},
		{request("v", capacity(1<<50, 0)), codes.ResourceExhausted, "available"},
		{request("v", capacity(1, 2)), codes.OutOfRange, "limit"},
		{request("v", in("nonesuch")), codes.InvalidArgument, "parameters[pool]"},
		{request("v", params("Pool", "fast")), codes.InvalidArgument, `parameters["Pool"]`},
		{request("v", params("mkfsOptions", "-N 4096")), codes.InvalidArgument, "parameters[mkfsOptions]"},
		{request("v", params("mkfsOptions", "-d /etc"), with(mounted("ext4"))), codes.InvalidArgument, "parameters[mkfsOptions]"},
		{request("v", func(r *csi.CreateVolumeRequest) { r.MutableParameters = map[string]string{"iops": "1"} }), codes.InvalidArgument, "mutable_parameters"},
		{request("v", fromVolume("")), codes.InvalidArgument, "volume_content_source.volume.volume_id"},
		{request("v", fromVolume("node-1/nonesuch")), codes.NotFound, "nonesuch"},
		{request("v", fromVolume("node-1/../../x")), codes.NotFound, "volume_content_source"},
		{request("v", fromVolume("node-2/v")), codes.NotFound, "node-2"},
		{request("v", fromSnapshot("node-1/origin")), codes.NotFound, "snapshot"},
		{request("v", elsewhere), codes.ResourceExhausted, "accessibility_requirements"},
	} {
		_, err := b.create(c.r)
		if status.Code(err) != c.code || !strings.Contains(status.Convert(err).Message(), c.says) {
			t.Errorf("%.120v:\n  answered %v\n  want %v naming %q", c.r, err, c.code, c.says)
		}
	}
	if after := b.lvs(t); !slices.Equal(before, after) {
		t.Errorf("volumes were %q, and after only refused calls %q", before, after)
	}
}

func TestMissingFieldsAreNamedBeforeAnythingIsLookedUp(t *testing.T) {
	b := newTestbed(t)
	ctx := context.Background()
	id := "node-1/v"
	for field, call := range map[string]func() error{
		"volume_id":        func() error { _, err := b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{}); return err },
		"snapshot_id":      func() error { _, err := b.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{}); return err },
		"source_volume_id": func() error { _, err := b.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "s"}); return err },
		"name": func() error {
			_, err := b.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{SourceVolumeId: id})
			return err
		},
		"capacity_range": func() error {
			_, err := b.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: id})
			return err
		},
		"volume_capabilities": func() error {
			_, err := b.ValidateVolumeCapabilities(ctx, &csi.ValidateVolumeCapabilitiesRequest{VolumeId: id})
			return err
		},
		"staging_target_path": func() error { _, err := b.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: id}); return err },
		"volume_capability": func() error {
			_, err := b.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: id, StagingTargetPath: "/x"})
			return err
		},
		"target_path": func() error {
			_, err := b.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: id})
			return err
		},
		"volume_path": func() error {
			_, err := b.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: id})
			return err
		},
	} {
		err := toStatus(call())
		wantCode(t, field, err, codes.InvalidArgument)
		if !strings.Contains(status.Convert(err).Message(), field) {
			t.Errorf("%v does not name the field %s", err, field)
		}
	}
	if n := b.fake.Processes(); n != 3 {
		t.Errorf("%d lvm processes ran besides the three that made the pools", n-3)
	}
}

func TestExpandNeverShrinks(t *testing.T) {
	b := newTestbed(t)
	v := b.mustCreate(t, request("v", size(2*lvm.GiB)))
	expand := func(id string, required, limit lvm.Bytes) (int64, error) {
		a, err := b.ControllerExpandVolume(context.Background(), &csi.ControllerExpandVolumeRequest{
			VolumeId: id, CapacityRange: &csi.CapacityRange{RequiredBytes: int64(required), LimitBytes: int64(limit)},
		})
		return a.GetCapacityBytes(), toStatus(err)
	}
	for _, c := range []struct {
		required, limit, size lvm.Bytes
		code                  codes.Code
	}{
		{lvm.GiB, 0, 2 * lvm.GiB, codes.OK},
		{lvm.GiB, lvm.GiB, 0, codes.OutOfRange},
		{3 * lvm.GiB, 0, 3 * lvm.GiB, codes.OK},
		{3*lvm.GiB - 1, 0, 3 * lvm.GiB, codes.OK},
		{lvm.TiB, 0, 0, codes.OutOfRange},
		{-1, 0, 0, codes.InvalidArgument},
	} {
		got, err := expand(v.GetVolumeId(), c.required, c.limit)
		wantCode(t, "expand", err, c.code)
		if lvm.Bytes(got) != c.size {
			t.Errorf("expanded to at least %v: %v, want %v", c.required, lvm.Bytes(got), c.size)
		}
	}
	_, err := expand("node-1/nonesuch", lvm.GiB, 0)
	wantCode(t, "expand what does not exist", err, codes.NotFound)
}

func TestDelete(t *testing.T) {
	b := newTestbed(t)
	origin := b.mustCreate(t, request("origin"))
	snap, err := b.snapshot(origin.GetVolumeId(), "s")
	must(t, err)
	del := func(id string) error {
		_, err := b.DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: id})
		return toStatus(err)
	}
	for id, code := range map[string]codes.Code{
		"nonsense": codes.OK, "node-1/gone": codes.OK, "node-1/../x": codes.OK, "node-2/v": codes.FailedPrecondition,
		snap.GetSnapshotId(): codes.InvalidArgument,
	} {
		wantCode(t, id, del(id), code)
	}
	b.fake.SetOpen("loam-fast", "origin", 1)
	wantCode(t, "in use", del(origin.GetVolumeId()), codes.FailedPrecondition)
	unlock, err := b.Pools.Lock(context.Background(), "loam-fast")
	must(t, err)
	wantCode(t, "in use, and others at work in the group", del(origin.GetVolumeId()), codes.FailedPrecondition)
	unlock()
	b.fake.SetOpen("loam-fast", "origin", 0)
	wantCode(t, "origin of a snapshot", del(origin.GetVolumeId()), codes.OK)
	wantCode(t, "again", del(origin.GetVolumeId()), codes.OK)
	restored := b.mustCreate(t, request("restored", fromSnapshot(snap.GetSnapshotId())))
	if restored.GetCapacityBytes() != int64(testSize) {
		t.Errorf("restored from the snapshot of a deleted volume: %v", restored)
	}
}

func TestListsPageOverWhatComesAndGoes(t *testing.T) {
	b := newTestbed(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		b.mustCreate(t, request(name))
	}
	list := func(token string) (ids []string, next string) {
		a, err := b.ListVolumes(context.Background(), &csi.ListVolumesRequest{MaxEntries: 2, StartingToken: token})
		must(t, err)
		for _, e := range a.GetEntries() {
			ids = append(ids, e.GetVolume().GetVolumeId())
		}
		return ids, a.GetNextToken()
	}
	first, next := list("")
	must(t, b.deleteNamed("c")) // at which the next page begins
	b.mustCreate(t, request("aa"))
	second, end := list(next)
	if got, want := slices.Concat(first, second), []string{"node-1/a", "node-1/b", "node-1/d"}; !slices.Equal(got, want) || end != "" {
		t.Errorf("listed %q, next %q; want %q", got, end, want)
	}
	_, err := b.ListVolumes(context.Background(), &csi.ListVolumesRequest{StartingToken: "nonsense"})
	wantCode(t, "token", toStatus(err), codes.Aborted)
	_, err = b.ListVolumes(context.Background(), &csi.ListVolumesRequest{MaxEntries: -1})
	wantCode(t, "max_entries", toStatus(err), codes.InvalidArgument)
}

func TestPlacementIsSpreadOrBinpack(t *testing.T) {
	for value, known := range map[string]bool{"spread": true, "binpack": true, "": true, "Spread": false} {
		if err := checkPlacement(value); (err == nil) != known {
			t.Errorf("%q: %v, want it to be known: %v", value, err, known)
		}
	}
}
