package faults

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// A disk whose beginning was overwritten looks blank. It is not taken for a new pool, and comes back by what
// `loam pool restore-metadata --dry-run` says.
func TestOverwrittenMetadataAreNotForgotten(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "ext4", 100*lvm.MiB))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), 8*lvm.MiB)
	agent.Unmount(t, v)
	agent.Stop()
	nodetest.Deactivate(t, disk, "loam-thin")
	blankStart(t, disk)

	agent = nodetest.Start(t, o)
	pools, err := agent.Admin.Pools(context.Background())
	if err != nil || len(pools) != 1 || pools[0].Ready || !strings.Contains(pools[0].Problem, "held volumes (1 of them)") {
		t.Fatalf("the operator is told %+v, error %v", pools, err)
	}
	plan, err := agent.Admin.Restoration(context.Background(), "thin")
	if err != nil || len(plan.Commands) != 1 {
		t.Fatalf("plan %+v, error %v", plan, err)
	}
	agent.Stop()
	if out, err := exec.Command("sh", "-c", plan.Commands[0]).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", plan.Commands[0], err, out)
	}
	agent = nodetest.Start(t, o)
	if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), 8*lvm.MiB); got != sum {
		t.Errorf("the restored volume holds %s, not %s", got, sum)
	}
	agent.Unmount(t, v)
	agent.Delete(t, v)
}

// blankStart makes a disk look blank.
func blankStart(t *testing.T, disk string) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, lvm.MiB)); err != nil {
		t.Fatal(err)
	}
}
