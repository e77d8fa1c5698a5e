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
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

// writeSynced writes size bytes of a file or device, as fast as they are taken, and returns how many were, and the error that
// ended it.
func writeSynced(path string, size lvm.Bytes) (lvm.Bytes, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_SYNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := slices.Repeat([]byte{0xa5}, int(lvm.MiB))
	for written := lvm.Bytes(0); ; written += lvm.MiB {
		if written >= size {
			return written, nil
		}
		if _, err := f.Write(block); err != nil {
			return written, err
		}
	}
}

// adopt makes a group with a small pool in it, as an operator has one before Loam comes.
func adopt(t *testing.T, size lvm.Bytes, disks ...string) {
	t.Helper()
	l := lvm.New(lvm.Options{})
	l.SetDevices(disks)
	if err := l.CreateGroup(lvm.CreateGroup{Name: "old", Devices: disks}); err != nil {
		t.Fatal(err)
	}
	if err := l.CreatePool(lvm.CreatePool{VG: "old", Name: "pool", Size: size, MetadataSize: 4 * lvm.MiB}); err != nil {
		t.Fatal(err)
	}
}

func extensions(count *atomic.Int32) func(lvm.Command) {
	return func(c lvm.Command) {
		if c.Args[0] == "lvextend" {
			count.Add(1)
		}
	}
}

func TestFault24PoolIsExtendedUnderFullSpeedWriting(t *testing.T) {
	lvmtest.Long(t)
	disks := lvmtest.RequireDisks(t, 2)
	adopt(t, 400*lvm.MiB, disks...)
	var extended atomic.Int32
	agent := nodetest.Start(t, nodetest.Options{
		Config: "pools:\n- {name: p, volumeGroup: old, reserve: 0%, thin: {overprovision: 10, extend: {at: 50%, by: 100%}}}\n", Observe: extensions(&extended),
	})
	v := agent.Create(t, nodetest.Request("v", "", 1500*lvm.MiB))
	started := time.Now()
	written, err := writeSynced(agent.Mount(t, v, ""), 1000*lvm.MiB)
	if err != nil {
		t.Errorf("writing at full speed ended after %v: %v", written, err)
	}
	t.Logf("%v in %v, extended %d times", written, time.Since(started).Round(time.Millisecond), extended.Load())
	if n := extended.Load(); n < 1 || n > 6 {
		t.Errorf("extended %d times: expected a few large steps", n)
	}
	vg := group(t, "old", disks...)
	if p, _ := vg.LV("pool"); p.Health != lvm.Healthy || p.Mapped < 1000*lvm.MiB || p.Suspended || p.Stale {
		t.Errorf("the pool became %+v", p)
	}
	agent.Unmount(t, v)
}

// adopted is the configuration for what adopt made, with so much of the group to be left free.
func adopted(reserve string) string {
	return "pools:\n- {name: p, volumeGroup: old, reserve: " + reserve + ", thin: {overprovision: 10}}\n"
}

func TestFault21FullPoolRefusesReturnsErrorsAndRecovers(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	adopt(t, 200*lvm.MiB, disk)
	agent := nodetest.Start(t, nodetest.Options{Config: adopted("80%")})
	v, safe := agent.Create(t, nodetest.Request("v", "ext4", 600*lvm.MiB)), agent.Create(t, nodetest.Request("safe", "ext4", 100*lvm.MiB))
	target := agent.Mount(t, v, "ext4")
	defer agent.Unmount(t, v)
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, safe, "ext4"), "ext4"), 16*lvm.MiB)
	defer agent.Unmount(t, safe)

	if written, err := writeSynced(filepath.Join(target, "large"), 160*lvm.MiB); err != nil {
		t.Fatalf("only %v were written: %v", written, err)
	}
	told(t, agent, "DataNearlyFull", "at least 9")
	_, err := writeSynced(filepath.Join(target, "rest"), lvm.GiB) // ends with an error, and does not hang
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to a full pool ended with %v", err)
	}
	told(t, agent, "OutOfData", "Add a disk")
	_, err = agent.Controller().CreateVolume(context.Background(), nodetest.Request("w", "ext4", 64*lvm.MiB))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a volume in a full pool: %v, expected RESOURCE_EXHAUSTED", err)
	}
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(safe), "ext4"), 16*lvm.MiB); got != sum {
		t.Error("a neighbour's contents changed")
	}

	// There is room now, and nobody does anything else about it.
	if err := os.WriteFile(filepath.Join(agent.Dir, "config.yaml"), []byte(adopted("0%")), 0o600); err != nil {
		t.Fatal(err)
	}
	well(t, agent)
	agent.Unmount(t, v)
	if out, err := exec.Command("e2fsck", "-fp", "/dev/mapper/old-v").CombinedOutput(); err != nil && !strings.Contains(string(out), "MODIFIED") {
		t.Errorf("the file system is damaged: %v: %s", err, out)
	}
	target = agent.Mount(t, v, "ext4")
	if written, err := writeSynced(filepath.Join(target, "again"), 100*lvm.MiB); err != nil {
		t.Errorf("after the extension only %v were written: %v", written, err)
	}
}

// The metadata's disk fails in the middle of a commit: all of it but the superblock, in which the kernel notes that.
func TestFault22PoolThatNeedsACheckIsToldAndLeftAlone(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	adopt(t, 200*lvm.MiB, disk)
	o := nodetest.Options{Config: adopted("0%"), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("v", "", 64*lvm.MiB))
	sum := nodetest.Write(t, agent.Mount(t, v, ""), 8*lvm.MiB)
	table := dmsetup(t, "table", "old-pool_tmeta")
	var start, length, major, minor, offset uint64
	if _, err := fmt.Sscanf(table, "%d %d linear %d:%d %d", &start, &length, &major, &minor, &offset); err != nil {
		t.Fatalf("%q: %v", table, err)
	}
	const superblock = 8 // sectors
	if out, err := exec.Command("modprobe", "dm-flakey").CombinedOutput(); err != nil {
		t.Skipf("needs dm-flakey: %v: %s", err, out)
	}
	broken := fmt.Sprintf("0 %d linear %d:%d %d\n%d %d flakey %d:%d %d 0 3600 1 error_writes\n",
		superblock, major, minor, offset, superblock, length-superblock, major, minor, offset+superblock)
	load := func(table string) {
		t.Helper()
		dmsetup(t, "load", "old-pool_tmeta", "--table", table)
		dmsetup(t, "suspend", "--nolockfs", "--noflush", "old-pool_tmeta")
		dmsetup(t, "resume", "old-pool_tmeta")
	}
	load(broken)
	f, err := os.OpenFile(agent.Target(v), os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, lvm.MiB), int64(32*lvm.MiB))
	f.Close()
	if err == nil {
		t.Error("what was written without metadata was acknowledged")
	}
	load(table)
	message := told(t, agent, "PoolNeedsCheck", "lvconvert --repair old/pool")
	_, err = agent.Controller().CreateVolume(context.Background(), nodetest.Request("w", "", 64*lvm.MiB))
	if status.Code(err) != codes.ResourceExhausted && status.Code(err) != codes.Unavailable {
		t.Errorf("a volume in a pool that must be checked: %v", err)
	}
	if got := nodetest.Checksum(t, agent.Target(v), 8*lvm.MiB); got != sum {
		t.Error("what was there cannot be read as it was")
	}

	// As the operator is told.
	agent.Unmount(t, v)
	agent.Stop()
	for _, command := range commands(message)[:3] {
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	agent = nodetest.Start(t, o)
	well(t, agent)
	if got := nodetest.Checksum(t, agent.Mount(t, v, ""), 8*lvm.MiB); got != sum {
		t.Error("after the repair the contents are not what they were")
	}
	agent.Unmount(t, v)
}

// commands are what a message has in backquotes.
func commands(message string) (all []string) {
	for i, part := range strings.Split(message, "`") {
		if i%2 == 1 {
			all = append(all, part)
		}
	}
	return all
}

func dmsetup(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dmsetup", append(args, "--noudevsync")...).CombinedOutput()
	if err != nil {
		t.Fatalf("dmsetup %q: %v: %s", args, err, out)
	}
	return string(out)
}

// Deleted files give their space back before a pool is full.
func TestNearlyFullPoolIsTrimmed(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	adopt(t, 200*lvm.MiB, disk)
	o := nodetest.Options{Config: adopted("80%"), Dir: t.TempDir()}
	for fs, size := range map[string]lvm.Bytes{"ext4": 170 * lvm.MiB, "xfs": 110 * lvm.MiB} { // xfs has a large journal
		agent := nodetest.Start(t, o)
		v := agent.Create(t, nodetest.Request(fs, fs, 400*lvm.MiB))
		file := nodetest.File(agent.Mount(t, v, fs), fs)
		agent.Stop() // not to be trimmed in the middle, and then not again for some time
		if _, err := writeSynced(file, size); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		unix.Sync()
		agent = nodetest.Start(t, o)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			p, err := agent.Admin.Pools(context.Background())
			if err == nil && len(p) == 1 && p[0].DataPercent < 50 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: the space is not given back: %+v, error %v", fs, p, err)
				break
			}
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
		agent.Stop()
	}
}

// told waits until the operator is told of a condition, and returns what.
func told(t *testing.T, a nodetest.Agent, kind, part string) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		pools, err := a.Admin.Pools(context.Background())
		for _, p := range pools {
			for _, c := range p.Conditions {
				if c.Kind == kind && strings.Contains(c.Message, part) {
					return c.Message
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not told: %+v, error %v", kind, pools, err)
		}
	}
}

// well waits until no pool has a condition.
func well(t *testing.T, a nodetest.Agent) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		pools, err := a.Admin.Pools(context.Background())
		if err == nil && !slices.ContainsFunc(pools, func(p admin.Pool) bool { return len(p.Conditions) > 0 || !p.Ready }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not well again: %+v, error %v", pools, err)
		}
	}
}

func TestFault23FullMetadataAreaRefusesAndLosesNothing(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	if out, err := exec.Command("lvm", "vgcreate", "--dataalignment", "8k", "--metadatasize", "36k", "old", disk).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{disk})
	err := l.CreatePool(lvm.CreatePool{VG: "old", Name: "pool", Size: 200 * lvm.MiB, MetadataSize: 4 * lvm.MiB})
	if err != nil {
		t.Fatal(err)
	}
	agent := nodetest.Start(t, nodetest.Options{Config: adopted("0%")})
	made := 0
	for ; made < 100; made++ {
		_, err = agent.Controller().CreateVolume(context.Background(), nodetest.Request(fmt.Sprint("v", made), "", 4*lvm.MiB))
		if err != nil {
			break
		}
	}
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(status.Convert(err).Message(), "metadata") {
		t.Errorf("after %d volumes: %v", made, err)
	}
	volumes := named(group(t, "old", disk), "v")
	volumes = slices.DeleteFunc(volumes, func(name string) bool { return strings.HasPrefix(name, "lvol") })
	if made < 5 || len(volumes) != made {
		t.Errorf("%d volumes were made, LVM has %q", made, volumes)
	}
	if p, err := agent.Admin.Pools(context.Background()); err != nil || len(p) != 1 || !strings.Contains(p[0].Problem, "metadata area of volume group old is full") {
		t.Errorf("the operator is told %+v, error %v", p, err)
	}
	for i := range made / 4 { // what gives room is not refused
		agent.Delete(t, &csi.Volume{VolumeId: fmt.Sprintf("%s/v%d", nodetest.NodeID, i)})
	}
	well(t, agent)
	agent.Create(t, nodetest.Request("again", "", 4*lvm.MiB))
}

// The agent's own files are on a disk that is full.
func TestFault23FullStateDirectoryRefusesAndLosesNothing(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=256k,nr_inodes=64"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: dir})
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), 4*lvm.MiB)
	backup := filepath.Join(state, "backup", "loam-thin")
	before, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(state, "filler")
	if _, err := writeSynced(filler, lvm.MiB); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the directory is not full: %v", err)
	}
	var fillers []string
	for err = nil; err == nil; {
		name := fmt.Sprint(filler, len(fillers))
		if err = os.WriteFile(name, nil, 0o600); err == nil {
			fillers = append(fillers, name)
		}
	}
	// Where no intent can be noted, nothing is formatted.
	_, err = agent.Controller().CreateVolume(context.Background(), nodetest.Request("w", "ext4", 64*lvm.MiB))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("CreateVolume: %v", err)
	}
	agent.Expand(t, v, 128*lvm.MiB) // needs none
	if got := nodetest.Checksum(t, nodetest.File(agent.Target(v), "ext4"), 4*lvm.MiB); got != sum {
		t.Error("the contents changed")
	}
	if now, err := os.ReadFile(backup); err != nil || len(now) < len(before)/2 {
		t.Errorf("the copy of the metadata was truncated to %d bytes: %v", len(now), err)
	}
	told(t, agent, "MetadataNotBackedUp", "no copy")
	for _, name := range append(fillers, filler) {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	agent.Delete(t, agent.Create(t, nodetest.Request("w", "ext4", 64*lvm.MiB)))
	well(t, agent)
	agent.Unmount(t, v)
}
