package faults

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// randomEnv is for how long random sequences are tried, "30m"; without it, only those seeds that are named here are, by `make faults`.
const randomEnv = "LOAM_RANDOM"

// seeds are tried each time: some, and each that ever found something.
var seeds = []uint64{1}

// Random operations, each of which the agent, and with it LVM, may be killed in, are what a model of a few lines says.
func TestRandomSequencesAreWhatTheModelSays(t *testing.T) {
	span, _ := time.ParseDuration(os.Getenv(randomEnv))
	if span == 0 {
		lvmtest.Long(t)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sequence(t, seed, 20) })
	}
	for until := time.Now().Add(span); time.Now().Before(until) && !t.Failed(); {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sequence(t, seed, 60) })
	}
}

// world is an agent, and what it should have.
type world struct {
	*testing.T
	rng       *rand.Rand
	disk      string
	options   nodetest.Options
	agent     nodetest.Agent
	volumes   map[string]*kept
	snapshots map[string]*kept
	made      int
}

// kept is what a volume or snapshot should be.
type kept struct {
	*csi.Volume
	snapshot string // its ID, of a snapshot
	fs       string
	size     lvm.Bytes
	sum      string // of what was written to it; "" for nothing
	mounted  bool
}

const written = 512 * lvm.KiB

func sequence(t *testing.T, seed uint64, operations int) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	w := &world{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), disk: disk, volumes: map[string]*kept{}, snapshots: map[string]*kept{},
		options: nodetest.Options{Config: nodetest.OnePool("thin", disk) + "  thin: {overprovision: 4}\n", Dir: t.TempDir(), Binary: program(t)},
	}
	w.agent = nodetest.Start(t, w.options)
	whole := w.agent.Capacity(t)
	for i := range operations {
		w.step()
		if i%10 == 9 {
			w.compare()
		}
		if t.Failed() {
			t.Fatalf("seed %d failed at operation %d of %d", seed, i+1, operations)
		}
	}
	w.compare()
	for _, name := range slices.Sorted(maps.Keys(w.volumes)) {
		w.unmount(w.volumes[name])
		w.remove(name)
	}
	for _, name := range slices.Sorted(maps.Keys(w.snapshots)) {
		w.removeSnapshot(name)
	}
	w.compare()
	if got := w.agent.Capacity(t); got != whole {
		t.Errorf("seed %d: %v available after all was deleted, %v before", seed, got, whole)
	}
	w.agent.Stop()
	nodetest.Deactivate(t, disk, "loam-thin")
}

// step does one thing.
func (w *world) step() {
	volume, snapshot := w.any(w.volumes), w.any(w.snapshots)
	switch n := w.rng.IntN(20); {
	case volume == "" || n < 4:
		w.create("", nil, nil)
	case n < 7:
		w.write(volume)
	case n < 9:
		w.expand(volume)
	case n < 11:
		w.snapshot(volume)
	case n < 13 && snapshot != "":
		w.create(w.snapshots[snapshot].fs, w.snapshots[snapshot], nodetest.FromSnapshot(&csi.Snapshot{SnapshotId: w.snapshots[snapshot].snapshot}))
	case n < 14:
		w.create(w.volumes[volume].fs, w.volumes[volume], nodetest.FromVolume(w.volumes[volume].Volume))
	case n < 16:
		w.unmount(w.volumes[volume])
		w.remove(volume)
	case n < 17 && snapshot != "":
		w.removeSnapshot(snapshot)
	case n < 18:
		w.unmount(w.volumes[volume])
	case n < 19:
		w.restart()
	default:
		w.reboot()
	}
}

func (w *world) any(of map[string]*kept) string {
	if len(of) == 0 {
		return ""
	}
	names := slices.Sorted(maps.Keys(of))
	return names[w.rng.IntN(len(names))]
}

// do makes a call, and once in a while kills the agent meanwhile and calls again, as an orchestrator does until it is answered.
func (w *world) do(what string, call func(a nodetest.Agent) error) error {
	w.Helper()
	if w.rng.IntN(3) == 0 {
		answered := make(chan error, 1)
		agent := w.agent
		go func() { answered <- call(agent) }()
		time.Sleep(time.Duration(w.rng.IntN(500)) * time.Millisecond)
		agent.Kill()
		if w.rng.IntN(2) == 0 { // a container's end takes its children
			_ = exec.Command("pkill", "-KILL", "-x", "lvm|mkfs.ext4|mkfs.xfs").Run()
		}
		w.Logf("%s: killed meanwhile; answered %v", what, <-answered)
		w.agent = nodetest.Start(w, w.options)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		err := call(w.agent)
		if code := status.Code(err); code != codes.Aborted && code != codes.Unavailable || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// must is do of what cannot be refused.
func (w *world) must(what string, call func(a nodetest.Agent) error) {
	w.Helper()
	if err := w.do(what, call); err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// create makes a volume, empty or with what another holds.
func (w *world) create(fs string, of *kept, source *csi.VolumeContentSource) {
	w.made++
	name, size := fmt.Sprintf("v%d", w.made), lvm.Bytes(16+8*w.rng.IntN(8))*lvm.MiB
	if of == nil {
		fs = []string{"ext4", "ext4", "xfs", ""}[w.rng.IntN(4)]
		if fs == "xfs" {
			size += 300 * lvm.MiB
		}
		of = &kept{}
	}
	req := nodetest.Request(name, fs, max(size, of.size))
	req.VolumeContentSource = source
	var v *csi.Volume
	err := w.do("create "+name, func(a nodetest.Agent) error {
		answer, err := a.Controller().CreateVolume(context.Background(), req)
		v = answer.GetVolume()
		return err
	})
	if status.Code(err) == codes.ResourceExhausted {
		return
	}
	if err != nil {
		w.Fatalf("create %s: %v", name, err)
	}
	w.volumes[name] = &kept{Volume: v, fs: fs, size: lvm.Bytes(v.GetCapacityBytes()), sum: of.sum}
}

func (w *world) mount(v *kept) string {
	if !v.mounted {
		w.must("stage", func(a nodetest.Agent) error {
			if err := os.MkdirAll(a.Staging(v.Volume), 0o755); err != nil {
				return err
			}
			_, err := a.Node().NodeStageVolume(context.Background(), &csi.NodeStageVolumeRequest{
				VolumeId: v.GetVolumeId(), StagingTargetPath: a.Staging(v.Volume), VolumeCapability: nodetest.Capability(v.fs), VolumeContext: v.GetVolumeContext(),
			})
			return err
		})
		w.agent.Mount(w, v.Volume, v.fs)
		v.mounted = true
	}
	return nodetest.File(w.agent.Target(v.Volume), v.fs)
}

func (w *world) unmount(v *kept) {
	if !v.mounted {
		return
	}
	w.must("unpublish", func(a nodetest.Agent) error {
		_, err := a.Node().NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: v.GetVolumeId(), TargetPath: a.Target(v.Volume)})
		return err
	})
	w.agent.Unmount(w, v.Volume)
	v.mounted = false
}

// write checks what a volume holds, and writes something else to it.
func (w *world) write(name string) {
	v := w.volumes[name]
	path := w.mount(v)
	w.holds(name, v)
	data := make([]byte, written)
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32d", w.rng.Uint64())))), data)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		w.Fatalf("writing to %s: %v", name, err)
	}
	f.Close()
	v.sum = fmt.Sprintf("%x", sha256.Sum256(data))
}

func (w *world) holds(name string, v *kept) {
	if v.sum == "" {
		return
	}
	if got := nodetest.Checksum(w, w.mount(v), written); got != v.sum {
		w.Errorf("%s holds %.8s, not %.8s", name, got, v.sum)
	}
}

func (w *world) expand(name string) {
	v := w.volumes[name]
	to := v.size + lvm.Bytes(4*(1+w.rng.IntN(8)))*lvm.MiB
	err := w.do("expand "+name, func(a nodetest.Agent) error {
		answer, err := a.Controller().ControllerExpandVolume(context.Background(), &csi.ControllerExpandVolumeRequest{
			VolumeId: v.GetVolumeId(), CapacityRange: &csi.CapacityRange{RequiredBytes: int64(to)},
		})
		if err == nil && v.mounted && answer.GetNodeExpansionRequired() {
			return fmt.Errorf("its file system did not grow")
		}
		return err
	})
	if status.Code(err) == codes.OutOfRange {
		return
	}
	if err != nil {
		w.Fatalf("expand %s: %v", name, err)
	}
	v.size = to
	if v.mounted && v.fs != "" {
		if got := nodetest.MountedSize(w, w.agent.Target(v.Volume), v.fs); got < to*7/10 {
			w.Errorf("%s was grown to %v, its file system has %v", name, to, got)
		}
	}
}

func (w *world) snapshot(of string) {
	w.made++
	v, name := w.volumes[of], fmt.Sprintf("s%d", w.made)
	s := &kept{fs: v.fs, size: v.size, sum: v.sum}
	err := w.do("snapshot "+name, func(a nodetest.Agent) error {
		answer, err := a.Controller().CreateSnapshot(context.Background(), &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: v.GetVolumeId()})
		s.snapshot = answer.GetSnapshot().GetSnapshotId()
		return err
	})
	if status.Code(err) == codes.ResourceExhausted {
		return
	}
	if err != nil {
		w.Fatalf("snapshot %s: %v", name, err)
	}
	w.snapshots[name] = s
}

func (w *world) remove(name string) {
	w.must("delete "+name, func(a nodetest.Agent) error {
		_, err := a.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: w.volumes[name].GetVolumeId()})
		return err
	})
	delete(w.volumes, name)
}

func (w *world) removeSnapshot(name string) {
	w.must("delete "+name, func(a nodetest.Agent) error {
		_, err := a.Controller().DeleteSnapshot(context.Background(), &csi.DeleteSnapshotRequest{SnapshotId: w.snapshots[name].snapshot})
		return err
	})
	delete(w.snapshots, name)
}

func (w *world) restart() {
	w.agent.Stop()
	w.agent = nodetest.Start(w, w.options)
}

// reboot leaves nothing active.
func (w *world) reboot() {
	for _, name := range slices.Sorted(maps.Keys(w.volumes)) {
		w.unmount(w.volumes[name])
	}
	w.agent.Stop()
	nodetest.Deactivate(w, w.disk, "loam-thin")
	w.agent = nodetest.Start(w, w.options)
}

// compare sees to it that LVM has exactly what the model has, in good order, and that all contents are right.
func (w *world) compare() {
	w.Helper()
	sizes := map[string]lvm.Bytes{}
	for _, lv := range group(w.T, "loam-thin", w.disk).LVs {
		if lv.Suspended || lv.Stale || lv.Pending || lv.Health != lvm.Healthy {
			w.Errorf("not in good order: %+v", lv)
		}
		if lv.Segment == lvm.Thin {
			sizes[lv.Name] = lv.Size
		}
	}
	want := map[string]lvm.Bytes{}
	for name, v := range w.volumes {
		want[name] = v.size
	}
	for name, s := range w.snapshots {
		want["snap-"+name] = s.size
	}
	if !maps.Equal(sizes, want) {
		w.Errorf("LVM has %v, the model %v", sizes, want)
	}
	for _, name := range slices.Sorted(maps.Keys(w.volumes)) {
		w.holds(name, w.volumes[name])
	}
}
