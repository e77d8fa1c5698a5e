package faults

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// program is the real agent, which `make test` builds first.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/loam")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs the loam binary: make build (%v)", err)
	}
	return path
}

func TestFault6InterruptedMkfsIsRepeatedAndAFinishedOneIsNot(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir(), Binary: program(t)}
	const device = "/dev/mapper/loam--thin-v"
	moments := []struct {
		name string
		come func() bool
	}{
		{"LVM makes the volume", func() bool { return runs("lvm") }},
		{"the volume is there", func() bool { _, err := os.Stat(device); return err == nil }},
		{"mkfs has begun", func() bool { return runs("mkfs.ext4") }},
		{"mkfs has written", func() bool { return holdsExt4(device) }},
	}
	if os.Getenv(longEnv) == "" {
		moments = moments[2:] // Fault1 has the agent killed in LVM's
	}
	interrupted := 0
	for _, m := range moments {
		agent := nodetest.Start(t, o)
		answered := make(chan error, 1)
		go func() {
			_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("v", "ext4", 800*lvm.MiB))
			answered <- err
		}()
		for !m.come() && len(answered) == 0 {
			time.Sleep(time.Millisecond)
		}
		agent.Kill()
		_ = exec.Command("pkill", "-KILL", "mkfs").Run() // a container's end takes its children; none running is fine
		if <-answered != nil {
			interrupted++
		}

		agent = nodetest.Start(t, o)
		v := agent.Create(t, nodetest.Request("v", "ext4", 800*lvm.MiB))
		if lvs := named(group(t, "loam-thin", disk), "v"); len(lvs) != 1 {
			t.Errorf("killed when %s: volumes %q", m.name, lvs)
		}
		if out, err := exec.Command("e2fsck", "-fn", device).CombinedOutput(); err != nil {
			t.Errorf("killed when %s: the file system is not clean: %v: %s", m.name, err, out)
		}
		sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
		agent.Create(t, nodetest.Request("v", "ext4", 800*lvm.MiB)) // a late retry formats nothing
		if got := nodetest.Checksum(t, nodetest.File(agent.Target(v), "ext4"), lvm.MiB); got != sum {
			t.Error("a retry of CreateVolume changed a volume in use")
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
		agent.Stop()
	}
	if interrupted == 0 {
		t.Error("no call was interrupted")
	}
	t.Logf("%d of %d calls were interrupted", interrupted, len(moments))
}

// runs says whether a process of that program runs (proc_pid_comm(5)).
func runs(program string) bool {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	return slices.ContainsFunc(names, func(name string) bool {
		comm, err := os.ReadFile(name)
		return err == nil && strings.TrimSpace(string(comm)) == program
	})
}

// holdsExt4 says whether the file system's magic number is on the device already (struct ext4_super_block, s_magic).
func holdsExt4(device string) bool {
	f, err := os.Open(device)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 2)
	_, err = f.ReadAt(magic, 1024+0x38)
	return err == nil && magic[0] == 0x53 && magic[1] == 0xEF
}

func TestFault7StageAndPublishAreRepeatedToExactlyOneMount(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir(), Binary: program(t)}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	restart := func() {
		agent.Kill()
		agent = nodetest.Start(t, o)
	}
	agent.Stage(t, v, "ext4")
	restart() // between mount and bind
	agent.Mount(t, v, "ext4")
	agent.Mount(t, v, "ext4")
	restart()
	agent.Mount(t, v, "ext4")
	if n := mountsAt(t, agent.Staging(v)) + 10*mountsAt(t, agent.Target(v)); n != 11 {
		t.Errorf("%d staging mounts and %d published ones, want one each", n%10, n/10)
	}
	kept := nodetest.File(agent.Target(v), "ext4")
	sum := nodetest.Write(t, kept, lvm.MiB)
	if _, err := agent.Node().NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: v.GetVolumeId(), TargetPath: agent.Target(v)}); err != nil {
		t.Fatal(err)
	}
	restart() // in the middle of unmounting
	agent.Unmount(t, v)
	agent.Unmount(t, v)
	if n := mountsAt(t, agent.Staging(v)) + mountsAt(t, agent.Target(v)); n != 0 {
		t.Errorf("%d mounts are left", n)
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB); got != sum {
		t.Error("a file changed on the way")
	}
	agent.Unmount(t, v)
}

func TestFault7UnpublishNeverRemovesFiles(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	precious := filepath.Join(agent.Target(v), "precious") // written while nothing was mounted
	if err := os.MkdirAll(agent.Target(v), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := agent.Node().NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: v.GetVolumeId(), TargetPath: agent.Target(v)})
	if err == nil {
		t.Error("a target with files was unpublished without a word")
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != "data" {
		t.Errorf("the file is %q, %v", data, err)
	}
}

// mountsAt counts the mounts at exactly that path (proc(5), mountinfo).
func mountsAt(t *testing.T, path string) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), " "+path+" ")
}

func TestFault9RebootBetweenStageAndPublishIsNotPapered(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
	agent.Unmount(t, v)
	agent.Stage(t, v, "ext4")
	agent.Stop()
	if err := unix.Unmount(agent.Staging(v), 0); err != nil {
		t.Fatal(err)
	}
	nodetest.Deactivate(t, disk, "loam-thin")

	agent = nodetest.Start(t, o)
	_, err := agent.Node().NodePublishVolume(context.Background(), &csi.NodePublishVolumeRequest{
		VolumeId: v.GetVolumeId(), StagingTargetPath: agent.Staging(v), TargetPath: agent.Target(v),
		VolumeCapability: nodetest.Capability("ext4"), VolumeContext: v.GetVolumeContext(),
	})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("published from a folder of the root file system: %v", err)
	}
	if n := mountsAt(t, agent.Target(v)); n != 0 {
		t.Errorf("%d mounts at the target", n)
	}
	for _, folder := range []string{agent.Staging(v), agent.Target(v)} {
		if files, err := os.ReadDir(folder); err == nil && len(files) > 0 {
			t.Errorf("%s of the root file system has %v", folder, files)
		}
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB); got != sum {
		t.Error("staged again, the contents are not what they were")
	}
	agent.Unmount(t, v)
}
