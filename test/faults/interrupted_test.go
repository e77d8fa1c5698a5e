package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

// dies is how a program in LVM's place kills the agent that runs it.
const dies = "kill -KILL $PPID"

// moment is one in which an agent is killed.
type moment struct {
	name    string
	program lvmtest.Program
}

// moments are those around a command of LVM, and in it, which is then killed, too.
func moments(command string, cuts []lvmtest.Cut) []moment {
	all := []moment{{"before " + command, lvmtest.Program{Commands: command, Before: dies + "; exit"}}}
	for _, at := range cuts {
		all = append(all, moment{fmt.Sprintf("in %s, before %s %d (%s)", command, at.Call, at.N, at.What), lvmtest.Program{Commands: command, At: &at, After: dies}})
	}
	return append(all, moment{"after " + command, lvmtest.Program{Commands: command, After: dies}})
}

// some are n of all, evenly spread, unless there is time for all.
func some[T any](all []T, n int) (chosen []T) {
	if os.Getenv("LOAM_FAULTS") != "" || len(all) <= n {
		return all
	}
	for i := range n {
		chosen = append(chosen, all[(2*i+1)*len(all)/(2*n)])
	}
	return chosen
}

// mortal makes an agent of this program, which has another one for LVM.
func mortal(t *testing.T, o nodetest.Options, p lvmtest.Program) (_ nodetest.Options, trace func() string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, trace := p.Make(t)
	t.Setenv(lvmEnv, path)
	o.Binary = self
	return o, trace
}

// interrupted calls an agent that is killed meanwhile, and returns what strace wrote of the last command.
func interrupted(t *testing.T, o nodetest.Options, p lvmtest.Program, call func(nodetest.Agent) error) (trace func() string) {
	t.Helper()
	o, trace = mortal(t, o, p)
	agent := nodetest.Start(t, o)
	if call(agent) == nil {
		t.Error("the call was not interrupted")
	}
	agent.Kill()
	return trace
}

// ails says what is not as it should be with a group.
func ails(vg lvm.VolumeGroup) string {
	var all []string
	for _, lv := range vg.LVs {
		if lv.Suspended || lv.Stale || lv.Pending || lv.Health != lvm.Healthy {
			all = append(all, fmt.Sprintf("%+v", lv))
		}
	}
	return strings.Join(all, "; ")
}

// healthy waits until nothing ails a group.
func healthy(t *testing.T, name string, disks ...string) lvm.VolumeGroup {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // it looks every ten
		vg := group(t, name, disks...)
		if ails(vg) == "" {
			return vg
		}
		if time.Now().After(deadline) {
			t.Fatalf("not healed: %s", ails(vg))
		}
	}
}

// empty sees to it that a volume of block reads as zeroes.
func empty(t *testing.T, path string, size lvm.Bytes) {
	t.Helper()
	zeroes := filepath.Join(t.TempDir(), "zeroes")
	if err := os.WriteFile(zeroes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(zeroes, int64(size)); err != nil {
		t.Fatal(err)
	}
	if nodetest.Checksum(t, path, size) != nodetest.Checksum(t, zeroes, size) {
		t.Errorf("%s is new, and not empty", path)
	}
}

func TestFault1InterruptedCreateMakesOneVolumeOrNone(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	neighbour := agent.Create(t, nodetest.Request("neighbour", "ext4", 64*lvm.MiB))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, neighbour, "ext4"), "ext4"), 4*lvm.MiB)
	agent.Stop()
	create := func(a nodetest.Agent) error {
		_, err := a.Controller().CreateVolume(context.Background(), nodetest.Request("v", "", 64*lvm.MiB))
		return err
	}
	trace := interrupted(t, o, lvmtest.Program{Commands: "lvcreate", After: dies}, create)
	all := lvmtest.Cuts(trace())
	t.Logf("lvcreate has %d cuts", len(all))
	agent = nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "", 64*lvm.MiB))
	agent.Delete(t, v)
	agent.Stop()
	before, _ := group(t, "loam-thin", disk).LV("pool")
	for i, m := range some(moments("lvcreate", all), 3) {
		interrupted(t, o, m.program, create)
		agent := nodetest.Start(t, o)
		if lvs := named(healthy(t, "loam-thin", disk), "v"); len(lvs) > 1 {
			t.Errorf("killed %s: volumes %q", m.name, lvs)
		}
		if i%2 == 0 { // an orchestrator asks again, or gives up
			agent.Create(t, nodetest.Request("v", "", 64*lvm.MiB))
			lv, ok := group(t, "loam-thin", disk).LV("v")
			if !ok || lv.Mapped != 0 {
				t.Errorf("killed %s: created again, it is there %v: %+v", m.name, ok, lv)
			}
			target := agent.Mount(t, v, "")
			empty(t, target, 64*lvm.MiB)
			nodetest.Write(t, target, lvm.MiB)
			agent.Unmount(t, v)
		}
		agent.Delete(t, v)
		vg := healthy(t, "loam-thin", disk)
		if lvs := named(vg, ""); !slices.Equal(slices.Sorted(slices.Values(lvs)), []string{"neighbour", "pool"}) {
			t.Errorf("killed %s: in the end there are %q", m.name, lvs)
		}
		if pool, _ := vg.LV("pool"); pool.Mapped != before.Mapped {
			t.Errorf("killed %s: the pool holds %v, and before %v", m.name, pool.Mapped, before.Mapped)
		}
		if marks, err := os.ReadDir(filepath.Join(o.Dir, "state", "making")); err != nil || len(marks) > 0 {
			t.Errorf("killed %s: marks %v are left, %v", m.name, marks, err)
		}
		agent.Stop()
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(neighbour), "ext4"), 4*lvm.MiB); got != sum {
		t.Error("a neighbour's contents changed")
	}
	nodetest.Start(t, o).Unmount(t, neighbour)
}

func TestFault5HalfMadePoolIsRebuilt(t *testing.T) {
	theirs := lvmtest.RequireDisks(t, 4)[2:]
	for i, commands := range [][]string{{"pvcreate", theirs[0]}, {"vgcreate", "theirs", theirs[1]}, {"lvcreate", "-L4m", "-an", "-Zn", "theirs"}} {
		if out, err := exec.Command("lvm", commands...).CombinedOutput(); err != nil {
			t.Fatalf("%d: %v: %s", i, err, out)
		}
	}
	before := [2]string{nodetest.Checksum(t, theirs[0], 32*lvm.MiB), nodetest.Checksum(t, theirs[1], 32*lvm.MiB)}
	var whole lvm.Bytes
	for command, n := range map[string]int{"vgcreate": 1, "lvcreate": 3} {
		t.Run(command, func(t *testing.T) {
			var all []lvmtest.Cut
			t.Run("whole", func(t *testing.T) {
				o, disks := halfMade(t, lvmtest.Program{Commands: command, After: dies}, &all)
				size, problem := rebuilt(t, o, disks)
				if whole = size; problem != "" {
					t.Errorf("killed after %s: %s", command, problem)
				}
			})
			t.Logf("%s has %d cuts", command, len(all))
			for i, m := range some(moments(command, all)[1:], n) {
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

var _ csi.Volume
