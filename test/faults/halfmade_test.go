package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

func TestFault5HalfMadePoolIsRebuilt(t *testing.T) {
	theirs := lvmtest.RequireDisks(t, 4)[2:]
	for i, commands := range [][]string{{"pvcreate", theirs[0]}, {"vgcreate", "theirs", theirs[1]}, {"lvcreate", "-L4m", "-an", "-Zn", "theirs"}} {
		if out, err := exec.Command("lvm", commands...).CombinedOutput(); err != nil {
			t.Fatalf("%d: %v: %s", i, err, out)
		}
	}
	before := [2]string{nodetest.Checksum(t, theirs[0], 32*lvm.MiB), nodetest.Checksum(t, theirs[1], 32*lvm.MiB)}
	var whole lvm.Bytes
	for _, command := range []string{"vgcreate", "lvcreate"} {
		t.Run(command, func(t *testing.T) {
			if command == "vgcreate" {
				lvmtest.Long(t)
			}
			var all []lvmtest.Cut
			t.Run("whole", func(t *testing.T) {
				o, disks := halfMade(t, lvmtest.Program{Commands: command, After: dies}, &all)
				size, problem := rebuilt(t, o, disks)
				if whole = size; problem != "" {
					t.Errorf("killed after %s: %s", command, problem)
				}
			})
			t.Logf("%s has %d cuts", command, len(all))
			for i, m := range some(moments(command, all)[1:], 1) {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					o, disks := halfMade(t, m.program, nil)
					if size, problem := rebuilt(t, o, disks); problem != "" || size != whole {
						t.Errorf("killed %s: a pool of %v, not %v; problem %q", m.name, size, whole, problem)
					}
				})
			}
		})
	}
	if after := [2]string{nodetest.Checksum(t, theirs[0], 32*lvm.MiB), nodetest.Checksum(t, theirs[1], 32*lvm.MiB)}; after != before {
		t.Error("what others had begun was touched")
	}
}

// halfMade is what is left where an agent was killed while it made its pool.
func halfMade(t *testing.T, p lvmtest.Program, cuts *[]lvmtest.Cut) (o nodetest.Options, disks []string) {
	t.Helper()
	all := lvmtest.RequireDisks(t, 2)
	t.Cleanup(func() { os.RemoveAll("/dev/loam-thin") }) // where a killed command may leave links
	disks = all[:2]
	o = nodetest.Options{Config: nodetest.OnePool("thin", append(slices.Clone(disks), "/dev/ubdd", "/dev/ubde")...), Dir: t.TempDir()}
	o, trace := mortal(t, o, p)
	if err := nodetest.Command(t, o).Run(); err == nil {
		t.Error("the agent was not killed")
	}
	if cuts != nil {
		*cuts = lvmtest.Cuts(trace())
	}
	o.Binary = ""
	return o, disks
}

// rebuilt is the size of the pool that the next agent makes, and what is wrong with it.
func rebuilt(t *testing.T, o nodetest.Options, disks []string) (lvm.Bytes, string) {
	t.Helper()
	agent := nodetest.Start(t, o)
	defer agent.Stop()
	pools, err := agent.Admin.Pools(context.Background())
	if err != nil || len(pools) != 1 || !pools[0].Ready {
		return 0, fmt.Sprintf("%+v, %v", pools, err)
	}
	for _, d := range disks {
		if v := judged(t, agent, d); v.State != admin.DiskTaken {
			return 0, fmt.Sprintf("%s is %s: %s", d, v.State, v.Reason)
		}
	}
	agent.Delete(t, agent.Create(t, nodetest.Request("v", "", 64*lvm.MiB)))
	vg := healthy(t, "loam-thin", disks...)
	if lvs := named(vg, ""); !slices.Equal(lvs, []string{"pool"}) {
		return 0, fmt.Sprintf("there are %q", lvs)
	}
	pool, _ := vg.LV("pool")
	return pool.Size, ""
}
