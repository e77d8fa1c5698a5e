package faults

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func TestFault19CorruptFileSystemIsReportedAndNotRepaired(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	defer neighbour(t, agent)()
	for _, c := range []struct {
		fs     string
		offset int64 // of what is overwritten
		words  string
		repair []string
	}{
		{"ext4", 4096, "e2fsck says: ", []string{"e2fsck", "-fy"}},      // group descriptors
		{"xfs", 108, "xfs_repair says: ", []string{"xfs_repair", "-L"}}, // superblock
		{"xfs", 512, "xfs_repair says: ", []string{"xfs_repair", "-L"}}, // first group's free space
	} {
		v := agent.Create(t, nodetest.Request("v", c.fs, 320*lvm.MiB))
		sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, c.fs), c.fs), lvm.MiB)
		agent.Unmount(t, v)
		device := mappedAs(t, "loam--thin-v")
		spoil(t, "/dev/mapper/"+device.name, c.offset)
		err := tryStage(t, agent, v, c.fs)
		if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), c.words) {
			t.Errorf("staging %s with garbage at byte %d: %v; want INTERNAL with what its checker says", c.fs, c.offset, err)
		}
		if !holdsGarbage(t, "/dev/mapper/"+device.name, c.offset) {
			t.Errorf("%s with garbage at byte %d was repaired", c.fs, c.offset)
		}
		out, err := exec.Command(c.repair[0], c.repair[1], "/dev/mapper/"+device.name).CombinedOutput() // as a person would; it ends with 1
		if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, c.fs), c.fs), lvm.MiB); got != sum {
			t.Errorf("%s: a file changed; the repair ended with %v: %s", c.fs, err, out)
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
	}
}

const garbage = "garbage!garbage!"

// spoil puts garbage on a device.
func spoil(t *testing.T, device string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(garbage), offset); err != nil {
		t.Fatal(err)
	}
}

func holdsGarbage(t *testing.T, device string, offset int64) bool {
	t.Helper()
	run(t, "blockdev", "--flushbufs", device)
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, len(garbage))
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	return string(b) == garbage
}

func TestFault18FileSystemThatStoppedIsReportedAndLeftSo(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk)})
	defer neighbour(t, agent)()
	for fs, repair := range map[string][]string{"ext4": {"e2fsck", "-fy"}, "xfs": {"xfs_repair"}} {
		v := agent.Create(t, nodetest.Request(fs, fs, 320*lvm.MiB))
		file := nodetest.File(agent.Mount(t, v, fs), fs)
		sum := nodetest.Write(t, file, lvm.MiB)
		if h := healthOf(t, agent, v); h != "" {
			t.Errorf("%s: a healthy volume is %q", fs, h)
		}
		device := mappedAs(t, "loam--thick-"+fs)
		device.become(t, strings.Replace(device.was, "linear", "flakey", 1)+" 0 3600 1 error_writes") // never well, for an hour
		for i := range 3 {                                                                            // one failure of its journal is noticed at the next change
			_ = os.WriteFile(file+strconv.Itoa(i), []byte("x"), 0o600)
			unix.Sync()
		}
		other := agent.Create(t, nodetest.Request("other", "ext4", 16*lvm.MiB)) // others are served; and the agent looks at the pools
		told(t, agent, "FileSystemFailed", fs+" of volume "+fs)
		ailing(t, agent, v, csi.VolumeHealthErrorType_DEGRADED, "FileSystemFailed")
		if h := healthOf(t, agent, v); !strings.Contains(h, "has found errors") {
			t.Errorf("%s: its health is %q", fs, h)
		}
		device.become(t, device.was)
		if err := tryStage(t, agent, v, fs); err != nil && status.Code(err) != codes.Unavailable { // the kubelet asks again
			t.Errorf("%s: staging again: %v", fs, err)
		}
		if err := os.WriteFile(file+"4", []byte("x"), 0o600); err == nil {
			t.Errorf("%s: it takes writes again, and nobody has looked at it", fs)
		}
		agent.Unmount(t, v)
		var out []byte
		var err error
		for range 2 { // e2fsck is told of a write that failed before
			out, err = exec.Command(repair[0], append(repair[1:], "/dev/mapper/"+device.name)...).CombinedOutput()
		}
		if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, fs), fs), lvm.MiB); got != sum {
			t.Errorf("%s: a file changed; the repair ended with %v: %s", fs, err, out)
		}
		agent.Delete(t, other)
		well(t, agent)
		agent.Unmount(t, v)
	}
}

func healthOf(t *testing.T, agent nodetest.Agent, v *csi.Volume) string {
	t.Helper()
	all, err := agent.Admin.Volumes(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.ID == v.GetVolumeId() {
			return one.Health
		}
	}
	t.Fatalf("%s is not among the volumes", v.GetVolumeId())
	return ""
}
