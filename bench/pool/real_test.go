package pool

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/device"
	"github.com/loam-storage/loam/node/nodetest"
)

// shortly is a profile of a fraction of a second for each job.
func shortly() bench.Profile {
	return bench.Profile{
		Name: "test", Size: 16 * lvm.MiB, WarmUp: 20 * time.Millisecond, Runtime: 100 * time.Millisecond, Repetitions: 2,
		Jobs: []bench.Job{
			{Name: "seq-read", Pattern: bench.Read, BlockSize: lvm.MiB, Depth: 4},
			{Name: "rand-write", Pattern: bench.RandWrite, BlockSize: 4 * lvm.KiB, Depth: 8},
			{Name: "log", Pattern: bench.Write, BlockSize: 2300, Depth: 1, Sync: true},
		},
	}
}

// house is an agent with a pool, in whose volume group others have volumes, too.
type house struct {
	nodetest.Agent
	kind  string
	disks []string
	lvm   *lvm.LVM
	sums  map[string]string // what each of the others' devices has
}

// newHouse has as much of the disks unused by a thin pool as layers of thick volumes need.
func newHouse(t *testing.T, kind string) *house {
	t.Helper()
	h := &house{kind: kind, disks: lvmtest.RequireDisks(t, 4), lvm: lvm.New(lvm.Options{}), sums: map[string]string{}}
	config := nodetest.OnePool(kind, h.disks...)
	if kind == "thin" {
		config += "  reserve: 60%\n"
	}
	h.Agent = nodetest.Start(t, nodetest.Options{Config: config, Dir: t.TempDir()})
	h.Create(t, nodetest.Request("tenant", "", 32*lvm.MiB))
	h.lvm.SetDevices(h.disks)
	group := "loam-" + kind
	if err := h.lvm.CreateThick(lvm.CreateThick{VG: group, Name: prefix + "by-hand", Size: 32 * lvm.MiB}); err != nil {
		t.Fatal(err)
	}
	for _, lv := range []string{"tenant", prefix + "by-hand"} {
		d, err := h.lvm.Device(group, lv)
		if err != nil {
			t.Fatal(err)
		}
		nodetest.Write(t, d.Path, 32*lvm.MiB)
		h.sums[d.Path] = checksum(t, d.Path)
	}
	return h
}

func (h *house) plan(profile bench.Profile, tell func(bench.Progress)) Plan {
	return Plan{Ask: h.ask, LVM: lvm.New(lvm.Options{}), Folder: h.Dir, Profile: profile, Engine: bench.Direct{}, Tell: tell}
}

func (h *house) ask(ctx context.Context) (Pool, error) {
	told, err := h.told(ctx)
	return Pool{
		Name: told.Name, VolumeGroup: told.VolumeGroup, ThinPool: told.ThinPool, Devices: told.Devices, Available: told.Available,
		ExtendAt: told.ExtendAt, Problem: told.Problem,
	}, err
}

func (h *house) told(ctx context.Context) (admin.Pool, error) {
	pools, err := h.Admin.Pools(ctx)
	if err != nil {
		return admin.Pool{}, err
	}
	return pools[0], nil
}

// asBefore checks that nothing is left, and that others have what they had.
func (h *house) asBefore(t *testing.T) {
	t.Helper()
	told, err := h.told(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if told.Others != 1 || told.Volumes != 1 || told.HealedCount != 0 || !told.Ready {
		t.Errorf("the agent tells of %+v; want a pool that is well, with a volume and one made by hand", told)
	}
	for path, sum := range h.sums {
		if got := checksum(t, path); got != sum {
			t.Errorf("%s has changed", path)
		}
	}
	if out, err := exec.Command("sh", "-c", "grep loam-bench /proc/mounts; ls -d /tmp/loam-bench-* 2>/dev/null").Output(); len(out) > 0 {
		t.Errorf("left behind: %s (%v)", out, err)
	}
}

// checksum reads what is on the disk, and not what the page cache still has.
func checksum(t *testing.T, path string) string {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	all, err := d.Read(0, d.Size)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(all))
}

func TestEveryLayerOfAThinPoolIsMeasured(t *testing.T) {
	h := newHouse(t, "thin")
	others := 0
	stages, err := Layers(t.Context(), h.plan(shortly(), func(p bench.Progress) {
		told, err := h.told(t.Context())
		if err != nil || told.Volumes != 1 {
			t.Errorf("while %s is measured in %s: %+v, %v; want the tenant's volume alone", p.Job, p.Place, told, err)
		}
		others = max(others, told.Others)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if others < 8 {
		t.Errorf("the agent told of %d other volumes at most; want the bench's and the one made by hand", others)
	}
	jobs := map[string]int{raw: 2, linear: 3, striped: 3, allocated: 3, firstWrite: 2, copied: 2, onExt4: 3, onXFS: 3}
	for i, s := range stages {
		if i >= len(layers) || s.Name != layers[i] || len(s.Jobs) != jobs[s.Name] || (s.Baseline == "") != (s.Name == raw) {
			t.Errorf("stage %d is %s on %s with %d jobs (%s); want %d", i, s.Name, s.Baseline, len(s.Jobs), s.Skipped, jobs[s.Name])
		}
		for _, j := range s.Jobs {
			if len(j.Runs) != 2 || j.Runs[1].All == 0 || j.Error != "" {
				t.Errorf("%s in %s has %d runs, %q", j.Job.Name, s.Name, len(j.Runs), j.Error)
			}
		}
	}
	if len(stages) != len(layers) {
		t.Errorf("%d stages; want %d", len(stages), len(layers))
	}
	h.asBefore(t)
}

func TestThickPoolHasNoThinLayers(t *testing.T) {
	lvmtest.Long(t)
	h := newHouse(t, "thick")
	stages, err := Layers(t.Context(), h.plan(shortly(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stages {
		measured := s.Name == raw || s.Name == linear || s.Name == striped
		if (len(s.Jobs) > 0) != measured || !measured && !strings.Contains(s.Skipped, "has no thin pool") {
			t.Errorf("%s has %d jobs: %q", s.Name, len(s.Jobs), s.Skipped)
		}
	}
	if stages, err := Neighbours(t.Context(), h.plan(shortly(), nil), []int{0, 1}); err != nil || len(stages) != 2 {
		t.Errorf("neighbours: %d stages, %v", len(stages), err)
	}
	h.asBefore(t)
}

func TestVictimIsMeasuredBesideNeighbours(t *testing.T) {
	lvmtest.Long(t)
	h := newHouse(t, "thin")
	stages, err := Neighbours(t.Context(), h.plan(shortly(), nil), []int{2, 0})
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 || stages[0].Name != "0 neighbours" || stages[1].Name != "2 neighbours" || stages[1].Baseline != "0 neighbours" {
		t.Fatalf("%+v", stages)
	}
	for _, s := range stages {
		for _, j := range s.Jobs {
			if latency := j.Latency(); len(j.Runs) != 2 || latency.Percentile(99) <= 0 {
				t.Errorf("%s with %s has %d runs, p99 %v", j.Job.Name, s.Name, len(j.Runs), latency.Percentile(99))
			}
		}
	}
	h.asBefore(t)
}

// some is the first of all, unless `make faults` has the time for all.
func some[T any](all ...T) []T {
	if !lvmtest.IsLong() {
		return all[:1]
	}
	return all
}

func TestInterruptedMeasurementLeavesNothing(t *testing.T) {
	h := newHouse(t, "thin")
	for _, at := range some(bench.Progress{Place: copied, Job: "rand-write"}, bench.Progress{Place: allocated, Job: "prepare"}, bench.Progress{Place: onXFS, Job: "prepare"}) {
		ctx, cancel := context.WithCancel(t.Context())
		stages, err := Layers(ctx, h.plan(shortly(), func(p bench.Progress) {
			if p.Place == at.Place && p.Job == at.Job {
				cancel()
			}
		}))
		cancel()
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrLeft) || (len(stages) == 0) != (at.Job == "prepare") {
			t.Errorf("interrupted at %s of %s: %d stages, %v; want those until then, and that it was", at.Job, at.Place, len(stages), err)
		}
		h.asBefore(t)
	}
}

func TestFullPoolIsRefusedAndNothingIsMade(t *testing.T) {
	lvmtest.Long(t)
	h := newHouse(t, "thin")
	before, err := h.group(t)
	if err != nil {
		t.Fatal(err)
	}
	profile := shortly()
	profile.Size = 256 * lvm.MiB
	_, err = Layers(t.Context(), h.plan(profile, nil))
	if !errors.Is(err, bench.ErrUnfit) || !strings.Contains(err.Error(), "a smaller --size may do") {
		t.Errorf("layers: %v; want ErrUnfit", err)
	}
	if _, err = Neighbours(t.Context(), h.plan(profile, nil), []int{4}); !errors.Is(err, bench.ErrUnfit) {
		t.Errorf("neighbours: %v; want ErrUnfit", err)
	}
	if after, err := h.group(t); err != nil || after.Seqno != before.Seqno {
		t.Errorf("the group was changed: %v", err)
	}
	h.asBefore(t)
}

func (h *house) group(t *testing.T) (lvm.VolumeGroup, error) {
	report, err := h.lvm.Report(t.Context())
	vg, _ := report.VolumeGroup("loam-" + h.kind)
	return vg, err
}

// childEnv makes this test binary measure layers until it is killed; its values are the agent's folder and the disks.
const childEnv = "LOAM_TEST_BENCH"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(childEnv); arguments != "" {
		folder, disks, _ := strings.Cut(arguments, " ")
		h := &house{Agent: nodetest.Agent{Dir: folder, Admin: admin.NewClient(admin.SocketBeside(folder + "/csi.sock"))}, disks: strings.Split(disks, ",")}
		profile := shortly()
		profile.Repetitions = 1000
		_, err := Layers(context.Background(), h.plan(profile, func(p bench.Progress) { fmt.Println(p.Job, p.Place) }))
		fmt.Println("ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestKilledMeasurementLeavesWhatTheNextOneRemoves(t *testing.T) {
	lvmtest.Long(t)
	h := newHouse(t, "thin")
	for _, at := range []string{"rand-write " + raw, "prepare " + onXFS, "rand-write " + copied} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), childEnv+"="+h.Dir+" "+strings.Join(h.disks, ","))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != at {
			if strings.HasPrefix(lines.Text(), "ended") {
				t.Error(lines.Text())
			}
		}
		if at == "rand-write "+raw {
			if _, err := Layers(t.Context(), h.plan(shortly(), nil)); !errors.Is(err, bench.ErrUnfit) || !strings.Contains(err.Error(), "another loam bench") {
				t.Errorf("while another measures: %v; want to be refused", err)
			}
		}
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		vg, err := h.group(t)
		if err != nil || len(tagged(vg)) == 0 || slices.Contains(tagged(vg), prefix+"by-hand") {
			t.Fatalf("killed at %s it left %v, %v; want its volumes", at, tagged(vg), err)
		}
		if _, err := Neighbours(t.Context(), h.plan(shortly(), nil), []int{0}); err != nil {
			t.Errorf("the next one, after %s: %v", at, err)
		}
		h.asBefore(t)
	}
}
