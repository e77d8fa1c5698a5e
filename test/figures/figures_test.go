package figures

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

func pools(disks []string) string {
	return fmt.Sprintf(`pools:
- {name: thin, type: thin, devices: {paths: [%s]}, thin: {overprovision: 100}}
- {name: thick, type: thick, devices: {paths: [%s]}}
`, disks[0], disks[1])
}

func inPool(r *csi.CreateVolumeRequest, pool string) *csi.CreateVolumeRequest {
	r.Parameters = map[string]string{"pool": pool}
	return r
}

func TestFigures(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 2)
	var processes atomic.Int64
	agent := nodetest.Start(t, nodetest.Options{Config: pools(disks), Observe: func(lvm.Command) { processes.Add(1) }})
	perCall(t, agent, &processes)
	atScale(t, agent, &processes)
	agent.Stop()
	idle(t)
}

// perCall prints how many lvm processes each call takes.
func perCall(t *testing.T, agent nodetest.Agent, processes *atomic.Int64) {
	var thin, thick *csi.Volume
	var snapshot *csi.Snapshot
	ctx := context.Background()
	fmt.Println("lvm processes per call")
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"CreateVolume, thin, ext4", func() { thin = agent.Create(t, inPool(nodetest.Request("a", "ext4", 64*lvm.MiB), "thin")) }},
		{"CreateVolume, thick, ext4", func() { thick = agent.Create(t, inPool(nodetest.Request("b", "ext4", 64*lvm.MiB), "thick")) }},
		{"NodeStageVolume and NodePublishVolume", func() { agent.Mount(t, thin, "ext4") }},
		{"NodeGetVolumeStats", func() {
			_, err := agent.Node().NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: thin.GetVolumeId(), VolumePath: agent.Target(thin)})
			check(t, err)
		}},
		{"ControllerExpandVolume, mounted", func() { agent.Expand(t, thin, 128*lvm.MiB) }},
		{"CreateSnapshot", func() { snapshot = agent.Snapshot(t, thin, "s") }},
		{"ListVolumes", func() { _, err := agent.Controller().ListVolumes(ctx, &csi.ListVolumesRequest{}); check(t, err) }},
		{"DeleteSnapshot", func() {
			_, err := agent.Controller().DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: snapshot.GetSnapshotId()})
			check(t, err)
		}},
		{"NodeUnpublishVolume and NodeUnstageVolume", func() { agent.Unmount(t, thin) }},
		{"DeleteVolume, thin", func() { agent.Delete(t, thin) }},
		{"DeleteVolume, thick (then zeroed and removed in the background: 2 more)", func() { agent.Delete(t, thick) }},
	} {
		before := processes.Load()
		step.do()
		fmt.Printf("  %2d  %s\n", processes.Load()-before, step.what)
		time.Sleep(100 * time.Millisecond) // the background's are not the next call's
	}
}

// atScale prints what creating and listing cost at 100 volumes, as a ratio to the same at 10.
func atScale(t *testing.T, agent nodetest.Agent, processes *atomic.Int64) {
	const few, many, tries = 10, 100, 10
	made := 0
	fill := func(n int) {
		for ; made < n; made++ {
			agent.Create(t, inPool(nodetest.Request(fmt.Sprintf("v%03d", made), "", 64*lvm.MiB), "thin"))
		}
	}
	create := func() time.Duration {
		started := time.Now()
		for i := range tries {
			agent.Create(t, inPool(nodetest.Request(fmt.Sprintf("try%d", i), "", 64*lvm.MiB), "thin"))
		}
		took := time.Since(started)
		for i := range tries {
			agent.Delete(t, &csi.Volume{VolumeId: fmt.Sprintf("%s/try%d", nodetest.NodeID, i)})
		}
		return took
	}
	list := func() time.Duration {
		started := time.Now()
		for range tries {
			_, err := agent.Controller().ListVolumes(context.Background(), &csi.ListVolumesRequest{})
			check(t, err)
		}
		return time.Since(started)
	}
	fill(few)
	createFew, listFew := create(), list()
	fill(many)
	before := processes.Load()
	createMany, listMany := create(), list()
	ran := processes.Load() - before
	fmt.Printf("\ncost at %d volumes, as a multiple of that at %d\n", many, few)
	fmt.Printf("  %.2f  a CreateVolume\n  %.2f  a ListVolumes\n", ratio(createMany, createFew), ratio(listMany, listFew))
	fmt.Printf("  %d lvm processes for %d creations, %d deletions and %d lists\n", ran, tries, tries, tries)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// idle prints what the real binary takes while nobody asks it for anything.
func idle(t *testing.T) {
	loam, err := filepath.Abs("../../bin/loam")
	check(t, err)
	disks := lvmtest.RequireDisks(t, 2)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(pools(disks)), 0o600))
	socket := filepath.Join(dir, "csi.sock")
	var log bytes.Buffer
	cmd := exec.Command(loam, "agent", "--config", filepath.Join(dir, "config.yaml"), "--node-id", "idle",
		"--socket", socket, "--state-dir", dir, "--kubelet-dir", "/", "--log-level", "debug")
	cmd.Stderr = &log
	check(t, cmd.Start())
	client := admin.NewClient(admin.SocketBeside(socket))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := client.Info(context.Background()); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not answer: %s", &log)
		}
	}
	const span = 30 * time.Second
	before := forks(t)
	time.Sleep(span)
	started := forks(t) - before
	rss := resident(t, cmd.Process.Pid)
	check(t, cmd.Process.Signal(os.Interrupt))
	check(t, cmd.Wait())
	fmt.Printf("\nidle agent, %v\n  %d processes and threads started on the whole machine\n  %.1f MB resident\n", span, started, float64(rss)/1e6)
}

// forks is how many processes and threads were ever started (proc(5), /proc/stat).
func forks(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/stat")
	check(t, err)
	var n int
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "processes "); ok {
			_, err := fmt.Sscan(rest, &n)
			check(t, err)
		}
	}
	return n
}

func resident(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	check(t, err)
	var size, pages int64
	_, err = fmt.Sscan(string(data), &size, &pages)
	check(t, err)
	return pages * int64(os.Getpagesize())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
