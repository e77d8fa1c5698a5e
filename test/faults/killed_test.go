package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	types := []string{"ext4", "xfs"}
	if !lvmtest.IsLong() {
		types = types[:1]
	}
	for _, fs := range types {
		t.Run(fs, func(t *testing.T) {
			interruptMkfs(t, lvmtest.RequireDisks(t, 1)[0], fs)
		})
	}
}

// interruptMkfs has the agent killed in mkfs, which ends with it, as all processes of a container do, before some of its writes and after all.
func interruptMkfs(t *testing.T, disk, fs string) {
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir(), Binary: program(t)}
	create := func(p lvmtest.Program) (trace func() string) {
		trace = inPlaceOf(t, "mkfs."+fs, p)
		agent := nodetest.Start(t, o)
		if _, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("v", fs, 400*lvm.MiB)); err == nil {
			t.Error("the call was not interrupted")
		}
		agent.Kill()
		return trace
	}
	whole := create(lvmtest.Program{After: dies})
	writes := strings.Count(whole(), "pwrite64(")
	if writes < 10 {
		t.Fatalf("mkfs.%s wrote %d times, and its writes are where it is to be interrupted:\n%s", fs, writes, whole())
	}
	finishOnce(t, o, fs, disk, "after mkfs")
	for _, percent := range some([]int{0, 25, 50, 75, 100}, 1) {
		n := 1 + percent*(writes-1)/100
		create(lvmtest.Program{At: &lvmtest.Cut{Call: "pwrite64", N: n}, After: dies})
		finishOnce(t, o, fs, disk, fmt.Sprintf("before write %d of %d", n, writes))
	}
}

// finishOnce has a new agent finish the volume, whose file system is then never made again.
func finishOnce(t *testing.T, o nodetest.Options, fs, disk, when string) {
	const device = "/dev/mapper/loam--thin-v"
	check := []string{"e2fsck", "-fn", device}
	if fs == "xfs" {
		check = []string{"xfs_repair", "-n", device}
	}
	agent := nodetest.Start(t, o)
	defer agent.Stop()
	v := agent.Create(t, nodetest.Request("v", fs, 400*lvm.MiB))
	if lvs := named(group(t, "loam-thin", disk), "v"); len(lvs) != 1 {
		t.Errorf("killed %s: volumes %q", when, lvs)
	}
	if out, err := exec.Command(check[0], check[1:]...).CombinedOutput(); err != nil {
		t.Errorf("killed %s: the file system is not clean: %v: %s", when, err, out)
	}
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, fs), fs), lvm.MiB)
	agent.Create(t, nodetest.Request("v", fs, 400*lvm.MiB)) // a late retry formats nothing
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(v), fs), lvm.MiB); got != sum {
		t.Error("a retry of CreateVolume changed a volume in use")
	}
	agent.Unmount(t, v)
	agent.Delete(t, v)
}

// inPlaceOf has a program run wherever that tool is run, until it was called for the first time: the real one is mounted over.
func inPlaceOf(t *testing.T, name string, p lvmtest.Program) (trace func() string) {
	t.Helper()
	tool, err := filepath.EvalSymlinks(filepath.Join("/usr/sbin", name))
	if err != nil {
		t.Fatal(err)
	}
	p.Tool = filepath.Join(t.TempDir(), name) // a copy, by the name that tells mke2fs what to make
	b, err := os.ReadFile(tool)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Tool, b, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Before = "umount -l " + tool + "\n" + p.Before
	path, trace := p.Make(t)
	if err := unix.Mount(path, tool, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(tool, unix.MNT_DETACH) }) // for a program that was never called
	return trace
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
