package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
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
	if lvmtest.IsLong() || len(all) <= n {
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
	t.Cleanup(func() { // links that LVM does not remove are in the way of the next test's group
		os.RemoveAll("/dev/loam-thin")
		os.RemoveAll("/dev/loam-thick")
	})
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
	for i, m := range some(moments("lvcreate", all), 1) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
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
		})
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(neighbour), "ext4"), 4*lvm.MiB); got != sum {
		t.Error("a neighbour's contents changed")
	}
	nodetest.Start(t, o).Unmount(t, neighbour)
}

func TestFault2InterruptedSnapshotIsOneOrNone(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	origin := agent.Create(t, nodetest.Request("origin", "ext4", 64*lvm.MiB))
	file := nodetest.File(agent.Mount(t, origin, "ext4"), "ext4")
	sum := nodetest.Write(t, file, 4*lvm.MiB)
	agent.Stop()
	take := func(a nodetest.Agent) error {
		_, err := a.Controller().CreateSnapshot(context.Background(), &csi.CreateSnapshotRequest{Name: "s", SourceVolumeId: origin.GetVolumeId()})
		return err
	}
	trace := interrupted(t, o, lvmtest.Program{Commands: "lvcreate", After: dies}, take)
	all := lvmtest.Cuts(trace())
	t.Logf("lvcreate has %d cuts", len(all))
	agent = nodetest.Start(t, o)
	drop := func(agent nodetest.Agent, s *csi.Snapshot) {
		if _, err := agent.Controller().DeleteSnapshot(context.Background(), &csi.DeleteSnapshotRequest{SnapshotId: s.GetSnapshotId()}); err != nil {
			t.Fatal(err)
		}
	}
	drop(agent, agent.Snapshot(t, origin, "s"))
	agent.Stop()
	for i, m := range some(moments("lvcreate", all), 1) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			interrupted(t, o, m.program, take)
			agent := nodetest.Start(t, o)
			healthy(t, "loam-thin", disk)
			nodetest.Write(t, file+".more", lvm.MiB) // the origin is not suspended
			s := agent.Snapshot(t, origin, "s")
			if lvs := named(healthy(t, "loam-thin", disk), "s"); len(lvs) != 1 {
				t.Errorf("killed %s: snapshots %q", m.name, lvs)
			}
			req := nodetest.Request("restored", "ext4", 64*lvm.MiB)
			req.VolumeContentSource = nodetest.FromSnapshot(s)
			restored := agent.Create(t, req)
			if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, restored, "ext4"), "ext4"), 4*lvm.MiB); got != sum {
				t.Errorf("killed %s: the snapshot has other contents than its origin had", m.name)
			}
			agent.Unmount(t, restored)
			agent.Delete(t, restored)
			drop(agent, s)
			agent.Stop()
		})
	}
	nodetest.Start(t, o).Unmount(t, origin)
}

func TestFault3InterruptedExpandIsFinished(t *testing.T) {
	const step = 16 * lvm.MiB
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	size := 64 * lvm.MiB
	v := agent.Create(t, nodetest.Request("v", "ext4", size))
	target := agent.Mount(t, v, "ext4")
	sum := nodetest.Write(t, nodetest.File(target, "ext4"), 4*lvm.MiB)
	agent.Stop()
	expand := func(a nodetest.Agent) error {
		_, err := a.Controller().ControllerExpandVolume(context.Background(), &csi.ControllerExpandVolumeRequest{
			VolumeId: v.GetVolumeId(), CapacityRange: &csi.CapacityRange{RequiredBytes: int64(size + step)},
		})
		return err
	}
	trace := interrupted(t, o, lvmtest.Program{Commands: "lvextend", After: dies}, expand)
	all := lvmtest.Cuts(trace())
	t.Logf("lvextend has %d cuts", len(all))
	reloaded := moment{"between the device and its file system", lvmtest.Program{
		Commands: "lvextend", After: "/usr/sbin/lvm lvchange --refresh loam-thin/v; " + dies,
	}}
	for i, m := range append(some(moments("lvextend", all), 1), reloaded) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			size += step
			interrupted(t, o, m.program, expand)
			agent := nodetest.Start(t, o)
			lv, _ := healthy(t, "loam-thin", disk).LV("v") // the device is as large as the metadata say
			if i%2 == 0 {
				agent.Expand(t, v, size+step)
				lv.Size = size + step
			} else {
				agent.Unmount(t, v)
				agent.Mount(t, v, "ext4")
			}
			if got := nodetest.MountedSize(t, target, "ext4"); got < lv.Size*8/10 {
				t.Errorf("killed %s: on a volume of %v the file system has %v", m.name, lv.Size, got)
			}
			if got := nodetest.Checksum(t, nodetest.File(target, "ext4"), 4*lvm.MiB); got != sum {
				t.Errorf("killed %s: the contents changed", m.name)
			}
			agent.Stop()
		})
	}
	nodetest.Start(t, o).Unmount(t, v)
}

func TestFault4InterruptedDeleteIsFinishedAndTheSpaceComesBack(t *testing.T) {
	lvmtest.Long(t)
	for kind, command := range map[string]string{"thin": "lvremove", "thick": "lvrename"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			o := nodetest.Options{Config: nodetest.OnePool(kind, disk), Dir: t.TempDir()}
			agent := nodetest.Start(t, o)
			neighbour := agent.Create(t, nodetest.Request("neighbour", "ext4", 64*lvm.MiB))
			kept := nodetest.File(agent.Mount(t, neighbour, "ext4"), "ext4")
			sum := nodetest.Write(t, kept, 4*lvm.MiB)
			room := agent.Capacity(t)
			var v *csi.Volume
			fill := func(a nodetest.Agent) {
				v = a.Create(t, nodetest.Request("v", "", 64*lvm.MiB))
				nodetest.Write(t, a.Mount(t, v, ""), 16*lvm.MiB)
				a.Unmount(t, v)
			}
			remove := func(a nodetest.Agent) error {
				_, err := a.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: v.GetVolumeId()})
				return err
			}
			fill(agent)
			agent.Stop()
			trace := interrupted(t, o, lvmtest.Program{Commands: command, After: dies}, remove)
			all := lvmtest.Cuts(trace())
			t.Logf("%s has %d cuts", command, len(all))
			for i, m := range some(moments(command, all), 1) {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					agent := nodetest.Start(t, o)
					fill(agent)
					agent.Stop()
					interrupted(t, o, m.program, remove)
					agent = nodetest.Start(t, o)
					agent.Delete(t, v)
					comesBack(t, agent, room, m.name)
					w := agent.Create(t, nodetest.Request("w", "", 64*lvm.MiB))
					if lv, ok := healthy(t, "loam-"+kind, disk).LV("w"); !ok || lv.Mapped != 0 {
						t.Errorf("killed %s: the next volume is there %v: %+v", m.name, ok, lv)
					}
					empty(t, agent.Mount(t, w, ""), 64*lvm.MiB)
					agent.Unmount(t, w)
					agent.Delete(t, w)
					comesBack(t, agent, room, m.name)
					agent.Stop()
				})
			}
			if nodetest.Checksum(t, kept, 4*lvm.MiB) != sum {
				t.Error("a neighbour's contents changed")
			}
			nodetest.Start(t, o).Unmount(t, neighbour)
		})
	}
}

// comesBack waits until the pool has the room that it had: thick volumes are zeroed first.
func comesBack(t *testing.T, agent nodetest.Agent, room lvm.Bytes, moment string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		now := agent.Capacity(t)
		if now == room {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("killed %s: the pool can give %v, and before %v", moment, now, room)
		}
	}
}
