package figures

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/bench/pool"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// TestLayersFigures prints what is left of a ramdisk's throughput in a thick volume on it, as `loam bench layers` measures it. Nothing is
// as fast beneath device-mapper as memory, so that its cost is nowhere greater.
func TestLayersFigures(t *testing.T) {
	lvmtest.RequireDisks(t, 1) // in a guest alone: it takes loop devices and memory
	disk := ramdisk(t, 512*lvm.MiB)
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk), Dir: t.TempDir()})
	plan := pool.Plan{
		Ask: func(ctx context.Context) (pool.Pool, error) {
			pools, err := agent.Admin.Pools(ctx)
			if err != nil {
				return pool.Pool{}, err
			}
			p := pools[0]
			return pool.Pool{Name: p.Name, VolumeGroup: p.VolumeGroup, Devices: p.Devices, Available: p.Available, Problem: p.Problem}, nil
		},
		LVM: lvm.New(lvm.Options{}), Folder: agent.Dir, Engine: bench.Direct{},
		Profile: bench.Profile{
			Name: "figures", Size: 128 * lvm.MiB, WarmUp: 200 * time.Millisecond, Runtime: time.Second, Repetitions: 9,
			Jobs: []bench.Job{
				{Name: "sequential reads of 1 MiB", Pattern: bench.Read, BlockSize: lvm.MiB, Depth: 8},
				{Name: "sequential writes of 1 MiB", Pattern: bench.Write, BlockSize: lvm.MiB, Depth: 8},
				{Name: "random reads of 4 KiB", Pattern: bench.RandRead, BlockSize: 4 * lvm.KiB, Depth: 32},
			},
		},
	}
	stages, err := pool.Layers(context.Background(), plan)
	check(t, err)
	raw, thick := stages[0], stages[1]
	fmt.Printf("\nthick volume on a ramdisk, as a part of what the ramdisk itself gives (wanted: 0.95 of sequential)\n")
	for i, j := range thick.Jobs {
		r := bench.Ratio(j, raw.Jobs[i])
		fmt.Printf("  %.2f  %s (from %.2f to %.2f in 95 of 100 cases)\n", r.Value, j.Job.Name, r.Low, r.High)
	}
}

// ramdisk is a block device in memory: a loop device on a file in tmpfs.
func ramdisk(t *testing.T, size lvm.Bytes) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "ramdisk-*")
	check(t, err)
	file := filepath.Join(folder, "disk")
	check(t, os.WriteFile(file, nil, 0o600))
	check(t, os.Truncate(file, int64(size)))
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	check(t, err)
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		_ = exec.Command("lvm", "vgchange", "--devices", device, "-an", "-qq").Run()
		run(t, "losetup", "--detach", device)
		check(t, os.RemoveAll(folder))
	})
	return device
}
