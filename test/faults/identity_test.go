package faults

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

// group is what real LVM says of the agent's volume group now.
func group(t *testing.T, name string, disks ...string) lvm.VolumeGroup {
	t.Helper()
	l := lvm.New(lvm.Options{})
	l.SetDevices(disks)
	report, err := l.Report(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	vg, ok := report.VolumeGroup(name)
	if !ok {
		t.Fatalf("volume group %s is gone", name)
	}
	return vg
}

// named are the logical volumes whose name contains s, hidden ones aside.
func named(vg lvm.VolumeGroup, s string) []string {
	var names []string
	for _, lv := range vg.LVs {
		if strings.Contains(lv.Name, s) && !lv.Hidden {
			names = append(names, lv.Name)
		}
	}
	return names
}

// patient calls again while another call for the same volume is at work, as an orchestrator does.
func patient(call func() error) error {
	for {
		err := call()
		if status.Code(err) != codes.Aborted {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestFault10FiftyIdenticalCreatesMakeOneVolume(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	ids := make([]string, 50)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			err := patient(func() error {
				answer, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("same", "ext4", 64*lvm.MiB))
				ids[i] = answer.GetVolume().GetVolumeId()
				return err
			})
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if ids = slices.Compact(ids); len(ids) != 1 {
		t.Errorf("identical calls got the IDs %q", ids)
	}
	if lvs := named(group(t, "loam-thin", disk), "same"); len(lvs) != 1 {
		t.Errorf("identical calls made %q", lvs)
	}
	_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("same", "ext4", 128*lvm.MiB))
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("the same name with another size: %v, want ALREADY_EXISTS", err)
	}
}

func TestFault11CreateAgainstDeleteLeavesNoResidue(t *testing.T) {
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool(kind, disk)})
			empty := agent.Capacity(t)
			id := nodetest.NodeID + "/contested"
			remove := func() error {
				_, err := agent.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: id})
				return err
			}
			create := func() error {
				_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("contested", "ext4", 64*lvm.MiB))
				return err
			}
			for range 3 {
				var both sync.WaitGroup
				for _, call := range []func() error{create, remove} {
					both.Go(func() {
						if err := patient(call); err != nil {
							t.Error(err)
						}
					})
				}
				both.Wait()
				if n := len(named(group(t, "loam-"+kind, disk), "contested")); n > 1 {
					t.Errorf("%d volumes of one name", n)
				}
			}
			if err := patient(remove); err != nil {
				t.Error(err)
			}
			awaitCapacity(t, agent, empty)
		})
	}
}

func awaitCapacity(t *testing.T, agent nodetest.Agent, want lvm.Bytes) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); agent.Capacity(t) != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v available, want the %v of before", agent.Capacity(t), want)
		}
	}
}

func TestFault12VolumeOfThatNameThatIsNotOursIsRefusedAndUntouched(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk)})
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{disk})
	if err := l.CreateThick(lvm.CreateThick{VG: "loam-thick", Name: "theirs", Size: 8 * lvm.MiB, Tags: []string{"by-hand"}}); err != nil {
		t.Fatal(err)
	}
	device, err := l.Device("loam-thick", "theirs")
	if err != nil {
		t.Fatal(err)
	}
	sum := nodetest.Write(t, device.Path, 8*lvm.MiB)
	before, _ := group(t, "loam-thick", disk).LV("theirs")

	_, err = agent.Controller().CreateVolume(context.Background(), nodetest.Request("theirs", "", 8*lvm.MiB))
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("creating it: %v, want ALREADY_EXISTS", err)
	}
	if _, err := agent.Controller().DeleteVolume(context.Background(), &csi.DeleteVolumeRequest{VolumeId: nodetest.NodeID + "/theirs"}); err != nil {
		t.Errorf("deleting it: %v, want success, as no volume of ours has that name", err)
	}
	_, err = agent.Node().NodeStageVolume(context.Background(), &csi.NodeStageVolumeRequest{
		VolumeId: nodetest.NodeID + "/theirs", StagingTargetPath: t.TempDir(), VolumeCapability: nodetest.Capability(""),
	})
	if status.Code(err) != codes.NotFound {
		t.Errorf("staging it: %v, want NOT_FOUND", err)
	}
	after, ok := group(t, "loam-thick", disk).LV("theirs")
	if !ok || after.UUID != before.UUID || after.Size != before.Size || !slices.Equal(after.Tags, before.Tags) {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if got := nodetest.Checksum(t, device.Path, 8*lvm.MiB); got != sum {
		t.Errorf("its bytes changed")
	}
}

func TestFault14DiskReplacedUnderItsPathIsRefused(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 2)
	o := nodetest.Options{Config: nodetest.OnePool("thick", disks...), Dir: t.TempDir()}
	nodetest.Start(t, o).Stop()
	blank(t, disks[1]) // the disk is pulled, and another one plugged in: the volume group of another host
	other := lvm.New(lvm.Options{})
	other.SetDevices(disks[1:])
	if err := other.CreateGroup(lvm.CreateGroup{Name: "other", Devices: disks[1:]}); err != nil {
		t.Fatal(err)
	}
	sum := digest(t, disks[1])

	agent := nodetest.Start(t, o)
	d := judged(t, agent, disks[1])
	if d.State != admin.DiskRefused || !strings.Contains(d.Reason, "other") {
		t.Errorf("the disk in the other's place is %s: %q", d.State, d.Reason)
	}
	_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("v", "", 8*lvm.MiB))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "misses") {
		t.Errorf("a new volume in a group that misses a disk: %v", err)
	}
	agent.Stop()
	if digest(t, disks[1]) != sum {
		t.Error("the disk in the other's place was written to")
	}
	blank(t, disks[0]) // what is left cannot be cleaned up as a whole group
}

// blank makes a disk as new.
func blank(t *testing.T, disk string) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4*lvm.MiB)); err != nil {
		t.Fatal(err)
	}
}

func judged(t *testing.T, agent nodetest.Agent, path string) admin.Disk {
	t.Helper()
	all, err := agent.Admin.Disks(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d admin.Disk) bool { return d.Path == path })
	if i < 0 {
		t.Fatalf("%s is not among the disks %+v", path, all)
	}
	return all[i]
}

// digest is how much was ever written to a device, by the kernel's count (Documentation/block/stat.rst), and the checksum of
// what its first and last 16 MiB hold: reading all of a disk takes a guest minutes.
func digest(t *testing.T, device string) string {
	t.Helper()
	if out, err := exec.Command("blockdev", "--flushbufs", device).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stat, err := os.ReadFile("/sys/class/block/" + filepath.Base(device) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	for _, from := range []struct {
		offset int64
		whence int
	}{{0, io.SeekStart}, {-int64(16 * lvm.MiB), io.SeekEnd}} {
		if _, err := f.Seek(from.offset, from.whence); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(h, f, int64(16*lvm.MiB)); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%s sectors written, %x", strings.Fields(string(stat))[6], h.Sum(nil))
}

func TestFault25OtherPeoplesDisksAreRefusedAndUnchanged(t *testing.T) {
	disks := lvmtest.RequireDisks(t, 4)
	for i, make := range [][]string{{"mkfs.ext4", "-q", "-L", "photos"}, {"mkfs.xfs", "-q", "-f"}, {"mkswap"}} {
		if out, err := exec.Command(make[0], append(make[1:], disks[i])...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", make[0], err, out)
		}
	}
	data := []byte("a database that writes to the raw disk")
	f, err := os.OpenFile(disks[3], os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 8192); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var before []string
	for _, d := range disks {
		before = append(before, digest(t, d))
	}
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disks...)})
	for i, want := range []string{`ext4 file system labelled "photos"`, "xfs file system", "swap", "data at byte 8192"} {
		if d := judged(t, agent, disks[i]); d.State != admin.DiskRefused || !strings.Contains(d.Reason, want) {
			t.Errorf("%s is %s: %q; want refused for %q", disks[i], d.State, d.Reason, want)
		}
	}
	if n := agent.Capacity(t); n != 0 {
		t.Errorf("%v available with no disk of its own", n)
	}
	agent.Stop()
	for i, d := range disks {
		if digest(t, d) != before[i] {
			t.Errorf("%s was written to", d)
		}
	}
}

func TestFault28PhysicalVolumeInsideATenantsVolumeIsIgnored(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{Config: nodetest.OnePool("thin", disk), Dir: t.TempDir()}
	agent := nodetest.Start(t, o)
	v := agent.Create(t, nodetest.Request("tenant", "", 64*lvm.MiB))
	target := agent.Mount(t, v, "")
	// A volume group of our own name, byte for byte, as a tenant can write it who copies a disk's beginning.
	header := make([]byte, 20*lvm.MiB)
	raw, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ReadAt(header, 0); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(header); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	agent.Unmount(t, v)
	before, room := group(t, "loam-thin", disk), agent.Capacity(t)
	agent.Stop()

	agent = nodetest.Start(t, o)
	after := group(t, "loam-thin", disk)
	if after.UUID != before.UUID || len(after.PVs) != 1 || after.PVs[0].Device != disk || agent.Capacity(t) != room {
		t.Errorf("with a copy of the group inside a volume, the group is %+v, before %+v", after.PVs, before.PVs)
	}
	agent.Create(t, nodetest.Request("another", "", 8*lvm.MiB))
}

// What is not ours any more, or not whole, is left as it is, with the reason, and the other pools go on.
func TestFault13GroupsThatAreNotOursToTouchAreLeftAlone(t *testing.T) {
	lvmtest.Long(t)
	disks := lvmtest.RequireDisks(t, 3)
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("lvm", args...).CombinedOutput(); err != nil {
			t.Fatalf("lvm %q: %v: %s", args, err, out)
		}
	}
	for _, c := range []struct {
		name, reason string
		damage, mend func(t *testing.T)
	}{
		{"exported", "exported", func(*testing.T) { run("vgexport", "loam-p") }, func(*testing.T) { run("vgimport", "loam-p") }},
		{
			"of another host", "other-host", func(*testing.T) { run("vgchange", "--yes", "--systemid", "other-host", "loam-p") },
			func(*testing.T) {
				run("vgchange", "--yes", "--config", `global{system_id_source="lvmlocal"} local{system_id="other-host"}`, "--systemid", "", "loam-p")
			},
		},
		{
			"missing disk", "misses 1 of its 2", func(t *testing.T) { invert(t, disks[1]) }, func(t *testing.T) { invert(t, disks[1]) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := nodetest.Options{Dir: t.TempDir(), Config: fmt.Sprintf(`pools:
- {name: p, volumeGroup: loam-p, devices: {paths: [%s, %s]}}
- {name: other, volumeGroup: loam-other, devices: {paths: [%s]}}
`, disks[0], disks[1], disks[2])}
			agent := nodetest.Start(t, o)
			req := nodetest.Request("v", "ext4", 64*lvm.MiB)
			req.Parameters = map[string]string{"pool": "p"}
			v := agent.Create(t, req)
			sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
			agent.Unmount(t, v)
			agent.Stop()
			run("vgchange", "-an", "loam-p")
			c.damage(t)
			before := digest(t, disks[0])

			agent = nodetest.Start(t, o)
			pools, err := agent.Admin.Pools(context.Background())
			if err != nil || pools[0].Ready || !strings.Contains(pools[0].Problem, c.reason) || !pools[1].Ready {
				t.Errorf("the operator is told %+v, error %v", pools, err)
			}
			req.Name = "w"
			if _, err := agent.Controller().CreateVolume(context.Background(), req); status.Code(err) != codes.ResourceExhausted && status.Code(err) != codes.Unavailable {
				t.Errorf("a volume in such a pool: %v", err)
			}
			req.Parameters = map[string]string{"pool": "other"}
			agent.Delete(t, agent.Create(t, req))
			agent.Stop()
			if after := digest(t, disks[0]); after != before {
				t.Errorf("the disk was written to: %v, %v", before, after)
			}

			c.mend(t)
			agent = nodetest.Start(t, o)
			if got := nodetest.Checksum(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB); got != sum {
				t.Error("once mended, the contents are not what they were")
			}
			agent.Unmount(t, v)
			agent.Delete(t, v)
			agent.Stop()
			run("vgremove", "--yes", "--force", "loam-p", "loam-other")
			run("pvremove", disks[0], disks[1], disks[2])
			for _, d := range disks {
				blank(t, d)
			}
		})
	}
}

// invert makes the label of a physical volume unrecognisable; done twice, it is as it was.
func invert(t *testing.T, disk string) {
	t.Helper()
	f, err := os.OpenFile(disk, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 4*lvm.KiB)
	if _, err := f.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	for i := range head {
		head[i] = ^head[i]
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		t.Fatal(err)
	}
}
