package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// tryStage is Stage that may fail.
func tryStage(t *testing.T, agent nodetest.Agent, v *csi.Volume, kind string) error {
	t.Helper()
	if err := os.MkdirAll(agent.Staging(v), 0o755); err != nil && !errors.Is(err, os.ErrExist) { // an xfs that failed answers no stat(2)
		t.Fatal(err)
	}
	_, err := agent.Node().NodeStageVolume(context.Background(), &csi.NodeStageVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: agent.Staging(v), VolumeCapability: nodetest.Capability(kind), VolumeContext: v.GetVolumeContext(),
	})
	return err
}

// neighbour is a volume that a test leaves alone; the function that it returns says whether its contents did not change.
func neighbour(t *testing.T, agent nodetest.Agent) (unchanged func()) {
	t.Helper()
	v := agent.Create(t, nodetest.Request("neighbour", "", 8*lvm.MiB))
	sum := nodetest.Write(t, agent.Mount(t, v, ""), 8*lvm.MiB)
	return func() {
		t.Helper()
		if got := nodetest.Checksum(t, agent.Target(v), 8*lvm.MiB); got != sum {
			t.Error("a neighbour's contents changed")
		}
		agent.Unmount(t, v)
	}
}

func TestFault15UnreadableVolumeIsUnavailableAndNotWrittenTo(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk)})
	defer neighbour(t, agent)()
	const size, mib = 320 * lvm.MiB, int64(lvm.MiB / lvm.Sector)
	const end = 320 * mib
	for _, fs := range []string{"ext4", "xfs"} {
		v := agent.Create(t, nodetest.Request(fs, fs, size))
		sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, fs), fs), lvm.MiB)
		agent.Unmount(t, v)
		device := mappedAs(t, "loam--thick-"+fs)
		for _, c := range []struct {
			unreadable string
			table      []string
			create     codes.Code // what a late retry of CreateVolume is told
		}{
			{"all of it", []string{broken(0, end)}, codes.Unavailable},
			{"its superblock", []string{broken(0, 8), device.part(t, 8, end)}, codes.Unavailable},
			{"what only blkid reads", []string{device.part(t, 0, mib), broken(mib, end-mib), device.part(t, end-mib, end)}, codes.OK},
			{"its journal", []string{device.part(t, 0, 8*mib), broken(8*mib, end-8*mib), device.part(t, end-8*mib, end)}, codes.OK},
		} {
			before := device.sectorsWritten(t)
			device.become(t, c.table...)
			if err := tryStage(t, agent, v, fs); status.Code(err) != codes.Unavailable {
				t.Errorf("staging %s, of which %s cannot be read: %v; want UNAVAILABLE", fs, c.unreadable, err)
			}
			_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request(fs, fs, size))
			if status.Code(err) != c.create {
				t.Errorf("creating %s again, of which %s cannot be read: %v; want %v", fs, c.unreadable, err, c.create)
			}
			if after := device.sectorsWritten(t); after != before {
				t.Errorf("%s, of which %s cannot be read: %s sectors were written, before %s", fs, c.unreadable, after, before)
			}
			device.become(t, device.was)
		}
		if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, fs), fs), lvm.MiB); got != sum {
			t.Errorf("%s: a file changed", fs)
		}
		agent.Unmount(t, v)
	}
}

// twoPools is a pool that a test breaks, and one that it does not.
func twoPools(bad, good mapped) string {
	return "pools:\n- {name: bad, type: thin, devices: {paths: [" + bad.path() + "]}}\n- {name: good, type: thick, devices: {paths: [" + good.path() + "]}}\n"
}

func inPool(pool string, req *csi.CreateVolumeRequest) *csi.CreateVolumeRequest {
	req.Parameters = map[string]string{"pool": pool}
	return req
}

func TestFault16DiskThatVanishesTakesOnlyItsOwnPoolWithIt(t *testing.T) {
	lvmtest.Long(t)
	disks := lvmtest.RequireDisks(t, 2)
	bad, good := breakable(t, "bad", disks[0]), breakable(t, "good", disks[1])
	o := nodetest.Options{Config: twoPools(bad, good), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	lost := agent.Create(t, inPool("bad", nodetest.Request("lost", "ext4", 100*lvm.MiB)))
	kept := agent.Create(t, inPool("good", nodetest.Request("kept", "ext4", 100*lvm.MiB)))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, lost, "ext4"), "ext4"), lvm.MiB)
	unchanged := nodetest.Write(t, nodetest.File(agent.Mount(t, kept, "ext4"), "ext4"), lvm.MiB)
	lostLoad, keptLoad := startLoad(t, agent.Target(lost)), startLoad(t, agent.Target(kept))

	bad.become(t, strings.Fields(bad.was)[0]+" "+strings.Fields(bad.was)[1]+" error")
	select {
	case err := <-lostLoad.failed:
		if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EROFS) {
			t.Errorf("writing to what vanished ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("writing to what vanished hangs")
	}
	lostLoad.stop()
	agent.Delete(t, agent.Create(t, inPool("good", nodetest.Request("other", "ext4", 16*lvm.MiB))))
	told(t, agent, "DeviceMissing", "loam-bad")
	ailing(t, agent, lost, csi.VolumeHealthErrorType_INACCESSIBLE, "DeviceMissing")
	if err := keptLoad.stop(); err != nil {
		t.Errorf("writing to the other volume: %v", err)
	}
	if h := healthOf(t, agent, lost); !strings.Contains(h, "missing") {
		t.Errorf("the health of a volume whose disk vanished is %q", h)
	}
	if h := healthOf(t, agent, kept); h != "" {
		t.Errorf("the health of the other is %q", h)
	}
	pools, err := agent.Admin.Pools(context.Background())
	if err != nil || pools[0].Available != 0 || pools[0].Ready || pools[1].Available == 0 || !pools[1].Ready {
		t.Errorf("the pools are %+v, %v; want the first to offer nothing, and the second something", pools, err)
	}
	_, err = agent.Controller().CreateVolume(context.Background(), inPool("bad", nodetest.Request("w", "ext4", 16*lvm.MiB)))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a volume in a pool whose disk vanished: %v; want RESOURCE_EXHAUSTED", err)
	}
	agent.Unmount(t, lost)
	if _, err := agent.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: lost.GetVolumeId()}); status.Code(err) != codes.Unavailable {
		t.Errorf("deleting what vanished: %v; want UNAVAILABLE", err)
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(kept), "ext4"), lvm.MiB); got != unchanged {
		t.Error("the other volume's contents changed")
	}
	agent.Unmount(t, kept)
	agent.Stop()

	bad.become(t, bad.was) // the disk is plugged in again, and the node started
	nodetest.Deactivate(t, bad.path(), "loam-bad")
	agent = nodetest.Start(t, o)
	if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, lost, "ext4"), "ext4"), lvm.MiB); got != sum {
		t.Error("the contents of the volume whose disk came back changed")
	}
	agent.Unmount(t, lost)
}

func TestFault20DiskThatHangsKeepsOnlyItsOwnPoolWaiting(t *testing.T) {
	lvmtest.Long(t)
	disks := lvmtest.RequireDisks(t, 2)
	bad, good := breakable(t, "bad", disks[0]), breakable(t, "good", disks[1])
	agent := nodetest.Start(t, nodetest.Options{Config: twoPools(bad, good)})
	hung := agent.Create(t, inPool("bad", nodetest.Request("hung", "ext4", 100*lvm.MiB)))
	idle := agent.Create(t, inPool("bad", nodetest.Request("idle", "", 16*lvm.MiB)))
	kept := agent.Create(t, inPool("good", nodetest.Request("kept", "ext4", 100*lvm.MiB)))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, hung, "ext4"), "ext4"), lvm.MiB)
	agent.Mount(t, kept, "ext4")
	hungLoad, keptLoad := startLoad(t, agent.Target(hung)), startLoad(t, agent.Target(kept))

	run(t, "dmsetup", "--noudevsync", "suspend", "--nolockfs", "--noflush", bad.name)
	resume := sync.OnceFunc(func() { run(t, "dmsetup", "--noudevsync", "resume", bad.name) })
	t.Cleanup(resume)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // nothing of what follows may hang
	defer cancel()
	var threads [3]int // those of the agent that wait for the disk, among them
	for i := range threads {
		var calls sync.WaitGroup
		for n := range 20 { // calls for the disk that hangs end, too
			calls.Go(func() {
				_, err := agent.Controller().CreateVolume(ctx, inPool("bad", nodetest.Request(fmt.Sprintf("w%d-%d", i, n), "ext4", 16*lvm.MiB)))
				if code := status.Code(err); code != codes.ResourceExhausted && code != codes.Unavailable && code != codes.Aborted {
					t.Errorf("a volume on the disk that hangs: %v", err)
				}
				_, err = agent.Controller().DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: idle.GetVolumeId()})
				if code := status.Code(err); code != codes.Unavailable && code != codes.Aborted {
					t.Errorf("deleting the volume on it: %v", err)
				}
			})
		}
		v, err := agent.Controller().CreateVolume(ctx, inPool("good", nodetest.Request("v", "ext4", 32*lvm.MiB)))
		if err != nil {
			t.Fatalf("a volume on another disk: %v", err)
		}
		agent.Unmount(t, mounted(t, agent, v.GetVolume()))
		agent.Expand(t, v.GetVolume(), 48*lvm.MiB)
		agent.Delete(t, v.GetVolume())
		_, err = agent.Node().NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: kept.GetVolumeId(), VolumePath: agent.Target(kept)})
		if err != nil {
			t.Errorf("the figures of a volume on another disk: %v", err)
		}
		calls.Wait()
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		threads[i] = len(tasks)
	}
	if threads[2] > threads[0]+10 {
		t.Errorf("the agent's threads became more and more: %v", threads)
	}
	told(t, agent, "DeviceSilent", "loam-bad")
	ailing(t, agent, hung, csi.VolumeHealthErrorType_INACCESSIBLE, "DeviceSilent")
	ailing(t, agent, kept, csi.VolumeHealthErrorType_UNKNOWN_VOLUME_HEALTH_TYPE, "")
	pools, err := agent.Admin.Pools(ctx)
	if err != nil || pools[0].Available != 0 || pools[1].Available == 0 || !pools[1].Ready {
		t.Errorf("the pools are %+v, %v; want the first to offer nothing, and the second something", pools, err)
	}
	if running, err := exec.Command("pgrep", "--count", "--exact", "lvm").Output(); strings.TrimSpace(string(running)) > "1" {
		t.Errorf("%s commands of LVM run, %v", running, err)
	}
	if err := keptLoad.stop(); err != nil {
		t.Errorf("writing to the other volume: %v", err)
	}
	agent.Unmount(t, kept)

	resume()
	if err := hungLoad.stop(); err != nil {
		t.Errorf("writing to the volume whose disk answers again: %v", err)
	}
	for {
		v, err := agent.Controller().CreateVolume(ctx, inPool("bad", nodetest.Request("v", "ext4", 16*lvm.MiB)))
		if err == nil {
			agent.Delete(t, v.GetVolume())
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("a volume on the disk that answers again: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(hung), "ext4"), lvm.MiB); got != sum {
		t.Error("the contents of the volume whose disk hung changed")
	}
	agent.Unmount(t, hung)
	agent.Delete(t, idle)
}

// ailing sees to it that a node and a controller say that of a volume's health; nothing for no reason.
func ailing(t *testing.T, agent nodetest.Agent, v *csi.Volume, as csi.VolumeHealthErrorType, reason string) {
	t.Helper()
	node, err := agent.Node().NodeGetVolumeHealth(context.Background(), &csi.NodeGetVolumeHealthRequest{VolumeId: v.GetVolumeId()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := agent.Controller().ControllerListVolumeHealth(context.Background(), &csi.ControllerListVolumeHealthRequest{})
	if err != nil {
		t.Fatal(err)
	}
	listed := slices.IndexFunc(all.GetEntries(), func(h *csi.VolumeHealth) bool { return h.GetVolumeId() == v.GetVolumeId() })
	statuses := node.GetVolumeHealth().GetHealthStatuses()
	if reason == "" {
		if len(statuses) > 0 || listed >= 0 {
			t.Errorf("the health of %s is %v, and in the list at %d", v.GetVolumeId(), statuses, listed)
		}
		return
	}
	if len(statuses) != 1 || statuses[0].GetStatus() != as || statuses[0].GetReason() != reason || listed < 0 {
		t.Errorf("the health of %s is %v, and in the list at %d; want %v, %s", v.GetVolumeId(), statuses, listed, as, reason)
	}
}

// mounted is a volume that is mounted.
func mounted(t *testing.T, agent nodetest.Agent, v *csi.Volume) *csi.Volume {
	t.Helper()
	nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
	return v
}

// load writes to a folder all the time.
type load struct {
	failed chan error // the error that ended it
	stop   func() error
}

// startLoad begins to write, and returns once something was written.
func startLoad(t *testing.T, folder string) load {
	t.Helper()
	failed, stopping, begun := make(chan error, 1), make(chan struct{}), make(chan struct{})
	var writer sync.WaitGroup
	var err error
	writer.Go(func() {
		path := filepath.Join(folder, "load")
		_, err = writeSynced(path, lvm.MiB)
		close(begun)
		for err == nil {
			select {
			case <-stopping:
				return
			case <-time.After(20 * time.Millisecond): // the guest has other things to do
				_, err = writeSynced(path, lvm.MiB)
			}
		}
		failed <- err
	})
	stop := sync.OnceFunc(func() { close(stopping); writer.Wait() })
	t.Cleanup(stop)
	<-begun
	return load{failed, func() error { stop(); return err }}
}

func TestFault17SilentlyDroppedWritesAreFound(t *testing.T) {
	lvmtest.Long(t)
	disk := breakable(t, "bad", lvmtest.RequireDisks(t, 1)[0])
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk.path())})
	defer neighbour(t, agent)()
	var length, begin, end int64
	var on string
	if _, err := fmt.Sscanf(mappedAs(t, "loam--thick-neighbour").was, "0 %d linear %s %d", &length, &on, &begin); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(disk.was, "0 %d", &end); err != nil {
		t.Fatal(err)
	}
	next := begin + length // where the next volume will be; LVM's own metadata are before
	// lvcreate wipes signatures until it finds none, for ever where writes are dropped: there must be none.
	run(t, "dd", "if=/dev/zero", "of="+disk.path(), "bs=512", fmt.Sprint("seek=", next), "count=16384", "oflag=direct")
	drops := strings.Replace(disk.part(t, next, end), "linear", "flakey", 1) + " 0 3600 1 drop_writes"
	disk.become(t, disk.part(t, 0, next), drops)
	_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("v", "ext4", 320*lvm.MiB)) // mkfs.xfs reads back by itself
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "lost what mkfs wrote") {
		t.Errorf("creating a volume on a disk that drops writes: %v; want UNAVAILABLE", err)
	}
	disk.become(t, disk.was)
	v := agent.Create(t, nodetest.Request("v", "ext4", 320*lvm.MiB)) // the same call again
	nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
	agent.Unmount(t, v)
}
