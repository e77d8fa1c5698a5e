package csi

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
)

func TestCreateAnswersTheSameAgain(t *testing.T) {
	b := newTestbed(t)
	snapOf := b.mustCreate(t, request("origin"))
	snap, err := b.snapshot(snapOf.GetVolumeId(), "snapshot-1")
	must(t, err)
	for _, r := range []*csi.CreateVolumeRequest{
		request("thin"), request("thick", in("slow")), request("odd name / with everything ü"), request("rounded", size(1)),
		request("anywhere", func(r *csi.CreateVolumeRequest) { r.Parameters = nil }),
		request("restored", fromSnapshot(snap.GetSnapshotId())), request("larger", fromSnapshot(snap.GetSnapshotId()), size(2*testSize)),
		request("clone", fromVolume(snapOf.GetVolumeId())), request("fs", with(mounted("ext4"))),
	} {
		first := b.mustCreate(t, r)
		mutations := b.fake.Processes()
		again := b.mustCreate(t, r)
		if !reflect.DeepEqual(first.String(), again.String()) {
			t.Errorf("%s: first %v, then %v", r.GetName(), first, again)
		}
		if n := b.fake.Processes() - mutations; n != 1 {
			t.Errorf("%s: the repeated call ran %d lvm processes, want the report alone", r.GetName(), n)
		}
		if first.GetCapacityBytes() < r.GetCapacityRange().GetRequiredBytes() {
			t.Errorf("%s: %d bytes for %v", r.GetName(), first.GetCapacityBytes(), r.GetCapacityRange())
		}
	}
}

func TestNameTakenForSomethingElseIsRefused(t *testing.T) {
	b := newTestbed(t)
	origin := b.mustCreate(t, request("taken"))
	other := b.mustCreate(t, request("other"))
	must(t, b.fake.CreateThick(lvm.CreateThick{VG: "loam-fast", Name: "foreign", Size: 4 * lvm.MiB, Tags: []string{"theirs"}}))
	before := b.lvs(t)
	for what, r := range map[string]*csi.CreateVolumeRequest{
		"larger": request("taken", size(2*testSize)),
		"limit below": request("taken", func(r *csi.CreateVolumeRequest) {
			r.CapacityRange = &csi.CapacityRange{LimitBytes: int64(testSize / 2)}
		}),
		"other pool":   request("taken", in("slow")),
		"file system":  request("taken", with(mounted("xfs"))),
		"from another": request("taken", fromVolume(other.GetVolumeId())),
		"foreign LV":   request("foreign"),
		"the pool":     request("pool"),
	} {
		_, err := b.create(r)
		wantCode(t, what, err, codes.AlreadyExists)
	}
	if after := b.lvs(t); !slices.Equal(before, after) {
		t.Errorf("volumes were %q, and after only refused calls %q", before, after)
	}
	_ = origin
}

func TestCreateRunsTwoProcesses(t *testing.T) {
	b := newTestbed(t)
	v := b.mustCreate(t, request("origin"))
	for _, c := range []struct {
		what string
		most int
		do   func() error
	}{
		{"create thin", 2, func() error { _, err := b.create(request("a")); return err }},
		{"create thick", 2, func() error { _, err := b.create(request("b", in("slow"))); return err }},
		{"create with a file system", 2, func() error { _, err := b.create(request("c", with(mounted("ext4")))); return err }},
		{"clone", 2, func() error { _, err := b.create(request("d", fromVolume(v.GetVolumeId()))); return err }},
		{"snapshot", 2, func() error { _, err := b.snapshot(v.GetVolumeId(), "s"); return err }},
		{"list", 1, func() error { _, err := b.ListVolumes(context.Background(), &csi.ListVolumesRequest{}); return err }},
		{"delete thin", 2, func() error { return b.deleteNamed("a") }},
		{"delete thick", 2, func() error { return b.deleteNamed("b") }},
	} {
		before := b.fake.Processes()
		must(t, c.do())
		if n := b.fake.Processes() - before; n > c.most {
			t.Errorf("%s ran %d lvm processes, want at most %d", c.what, n, c.most)
		}
	}
}

func (b testbed) deleteNamed(name string) error {
	id := volume.ID{Node: testNode, LV: volume.VolumeLV(name)}.String()
	_, err := b.DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: id})
	return toStatus(err)
}

func TestNoMoreIsPromisedThanIsPublished(t *testing.T) {
	b := newTestbed(t)
	for _, p := range []string{"fast", "slow"} {
		room := func() *csi.GetCapacityResponse {
			c, err := b.GetCapacity(context.Background(), &csi.GetCapacityRequest{Parameters: map[string]string{"pool": p}})
			must(t, err)
			return c
		}
		largest := lvm.Bytes(room().GetMaximumVolumeSize().GetValue())
		if _, err := b.create(request("too large", in(p), size(largest+1))); err == nil {
			t.Errorf("pool %s gave more than the %v that it published", p, largest)
		} else {
			wantCode(t, "too large", err, codes.ResourceExhausted)
		}
		b.mustCreate(t, request("all of "+p, in(p), size(largest)))
		if left := room(); left.GetAvailableCapacity() != 0 || left.GetMaximumVolumeSize().GetValue() != 0 {
			t.Errorf("pool %s still publishes %v after all of it was given", p, left)
		}
		_, err := b.create(request("one more", in(p), size(1)))
		wantCode(t, "one more", err, codes.ResourceExhausted)
	}
}

func TestVolumeWithForeignBlocksIsNotHandedOut(t *testing.T) {
	b := newTestbed(t)
	b.fake.After = func(op string) error {
		if op == "CreateThin" {
			b.fake.After = nil
			b.fake.SetMapped("loam-fast", "v", lvm.MiB) // an orphan device id with somebody's data behind it
		}
		return nil
	}
	_, err := b.create(request("v"))
	wantCode(t, "create", err, codes.Internal)
	if slices.Contains(b.lvs(t), "v") {
		t.Error("the volume with foreign blocks is still there")
	}
	b.mustCreate(t, request("v"))
}

func TestWhatIsOnAVolumeIsNeverFormatted(t *testing.T) {
	b := newTestbed(t)
	r := request("v", with(mounted("ext4")))
	b.mustCreate(t, r)
	device, err := b.fake.Device("loam-fast", "v")
	must(t, err)
	data := []byte(strings.Repeat("somebody's data ", 4096))
	must(t, overwriteAt(device.Path, data, 0)) // over the superblock
	_, err = b.create(r)
	wantCode(t, "creating it again", err, codes.FailedPrecondition)
	f, err := os.ReadFile(device.Path)
	must(t, err)
	if !strings.HasPrefix(string(f[:len(data)]), string(data)) {
		t.Error("the data was overwritten")
	}
}

func TestInterruptedFormatIsRepeated(t *testing.T) {
	b := newTestbed(t)
	r := request("v", with(mounted("ext4")))
	v := b.mustCreate(t, r)
	device, err := b.fake.Device("loam-fast", "v")
	must(t, err)
	must(t, b.Intents.Begin("v"))                                          // as if the agent had been killed in mkfs:
	must(t, overwriteAt(device.Path, make([]byte, 4096), 0))               // no superblock yet,
	must(t, overwriteAt(device.Path, []byte("group descriptors"), 8*4096)) // but half of the rest
	again := b.mustCreate(t, r)
	if again.GetVolumeId() != v.GetVolumeId() {
		t.Errorf("the retry answered %s, want %s", again.GetVolumeId(), v.GetVolumeId())
	}
	if begun, err := b.Intents.Begun("v"); err != nil || begun {
		t.Errorf("the mark is still there: %v, %v", begun, err)
	}
}

func overwriteAt(path string, data []byte, offset int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, offset); err != nil {
		return err
	}
	return f.Close()
}
