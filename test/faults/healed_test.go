package faults

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

// What LVM leaves when it is killed at each of its steps is tested in package lvm; here an agent finds it and mends it.
func TestFault2SuspendedVolumeIsResumedByTheAgent(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "ext4", 100*lvm.MiB))
	suspend := func() {
		t.Helper()
		if out, err := exec.Command("dmsetup", "--noudevsync", "suspend", "loam--thin-v").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	resumed := func(when string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // it looks every ten
			lv, _ := group(t, "loam-thin", disk).LV("v")
			if lv.Active && !lv.Suspended {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: still suspended: %+v", when, lv)
			}
		}
		pools, err := agent.Admin.Pools(context.Background())
		if err != nil || len(pools) != 1 || pools[0].HealedCount != 1 || !isResumption(pools[0].Healed) {
			t.Errorf("%s: the operator is told %+v, error %v", when, pools, err)
		}
	}
	if lvmtest.IsLong() {
		suspend()
		resumed("while the agent ran")
	}
	agent.Stop()
	suspend()
	agent = nodetest.Start(t, o)
	resumed("before the agent started")
	nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
	agent.Unmount(t, v)
	agent.Delete(t, v)
}

func isResumption(all []admin.Healing) bool {
	return len(all) == 1 && all[0].Volume == "v" && strings.Contains(all[0].What, "resumed")
}
