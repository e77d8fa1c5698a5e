package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/nodetest"
)

// generous is a pool that promises more than it has, on whatever disks are in slots.
const generous = "{name: p, devices: {paths: [" + anySlot + "]}, reserve: 0%, thin: {overprovision: 10}}"

// overfull is such a pool with a volume with contents, and a snapshot of what was then in it and is no more.
func (d *drill) overfull() (kept, *csi.Volume) {
	d.t.Helper()
	d.insert(0, 320*lvm.MiB)
	d.start(generous)
	k := d.keep(d.volume("data", "ext4", 600*lvm.MiB))
	big := d.volume("big", "ext4", 600*lvm.MiB)
	d.mount(big)
	if err := d.fillTo(big, 40); err != nil {
		d.t.Fatal(err)
	}
	d.agent.Snapshot(d.t, big, "forgotten")
	if err := os.Remove(filepath.Join(d.agent.Target(big), "filler")); err != nil {
		d.t.Fatal(err)
	}
	d.agent.Unmount(d.t, big) // so that nothing is trimmed
	d.mount(big)
	return k, big
}

// madeRoom follows what both pages about a full pool have in common. It fills the pool between.
func (d *drill) madeRoom(fill func()) {
	d.t.Helper()
	d.raised()
	printed := d.follow("Look")
	if !strings.Contains(printed, "Add a disk, or delete volumes or snapshots") {
		d.t.Errorf("it is not said what to do: %s", printed)
	}
	d.words["NAME"] = d.first(printed, "forgotten")
	d.follow("Delete what nobody needs")
	d.cleared()
	fill()
	d.raised()
	added := d.insert(1, 512*lvm.MiB)
	d.await("the disk is taken", func() bool {
		return strings.Contains(d.follow("Add a disk"), "taken") && len(d.taken()) == 2
	})
	d.t.Logf("%s was taken", added.path())
	d.cleared()
}

// taken are the disks that the pool has.
func (d *drill) taken() (paths []string) {
	d.t.Helper()
	all, err := d.agent.Admin.Disks(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	for _, disk := range all {
		if disk.State == admin.DiskTaken {
			paths = append(paths, disk.Path)
		}
	}
	return paths
}

func poolNearlyFull(d *drill) {
	k, big := d.overfull()
	fill := func() {
		if err := d.fillTo(big, 86); err != nil {
			d.t.Fatal(err)
		}
	}
	fill()
	d.madeRoom(fill)
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
	d.agent.Unmount(d.t, big)
}

func poolFull(d *drill) {
	k, big := d.overfull()
	d.volume("flood", "", 600*lvm.MiB)
	flooded := int64(0)
	fill := func() {
		err := d.fillTo(big, 101)
		if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EROFS) {
			d.t.Fatalf("writing to a full pool ended with %v", err)
		}
		flooded = d.flood("/dev/mapper/loam--p-flood", flooded)
	}
	fill()
	d.madeRoom(func() {
		d.restart(big)
		fill()
	})
	d.restart(big) // the pod of the file system that stopped, as the page says
	d.follow("Over when")
	k.holds(d)
	d.keep(big)
	d.agent.Unmount(d.t, k.volume)
	d.agent.Unmount(d.t, big)
}

// flood writes into a device until the alert is raised: what the agent trims in the last moment makes room once more. It returns where
// it has come to.
func (d *drill) flood(device string, from int64) int64 {
	d.t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, lvm.MiB)
	d.await("the pool is full", func() bool {
		if _, err := f.WriteAt(block, from); err == nil {
			from += int64(lvm.MiB)
		}
		return d.rule().State == "firing"
	})
	return from
}

func poolFillsInADay(d *drill) {
	d.insert(0, 512*lvm.MiB)
	d.start(generous)
	k := d.keep(d.volume("quiet", "ext4", 200*lvm.MiB))
	writer := d.volume("busy", "ext4", 600*lvm.MiB)
	d.mount(writer)
	if err := d.fillTo(writer, 52); err != nil {
		d.t.Fatal(err)
	}
	for i := range 20 { // slowly, so that the growth is seen
		if d.rule().State == "firing" {
			break
		}
		if err := d.fillTo(writer, 53+float64(i)); err != nil {
			d.t.Fatal(err)
		}
		time.Sleep(time.Second) // time is what the prediction is made of
	}
	d.raised()
	if found := d.ask("Look")["persistentvolumeclaim"]; found != "busy" {
		d.t.Errorf("who writes most is claim %q, want busy", found)
	}
	d.cleared() // it does not write any more
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
	d.agent.Unmount(d.t, writer)
}

func poolMetadataNearlyFull(d *drill) {
	s := d.insert(0, 320*lvm.MiB)
	if out, err := exec.Command("lvm", "vgcreate", "--dataalignment", "8k", "--metadatasize", "36k", "loam-p", s.path()).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{s.path()})
	if err := l.CreatePool(lvm.CreatePool{VG: "loam-p", Name: "pool", Size: 200 * lvm.MiB, MetadataSize: 4 * lvm.MiB}); err != nil {
		d.t.Fatal(err)
	}
	d.start("{name: p, volumeGroup: loam-p, reserve: 0%, thin: {overprovision: 10}}")
	k := d.keep(d.volume("data", "ext4", 64*lvm.MiB))
	for i := range 100 {
		if _, err := d.agent.Controller().CreateVolume(context.Background(), nodetest.Request(fmt.Sprintf("old-%d", i), "", 4*lvm.MiB)); err != nil {
			break
		}
	}
	d.raised()
	printed := d.follow("Look")
	for i := range 100 {
		if d.rule().State == "inactive" {
			break
		}
		d.words["NAME"] = d.first(printed, fmt.Sprintf("old-%d ", i))
		d.follow("Delete what nobody needs")
	}
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}

// metadataNotBackedUp has the agent's files where they are in a cluster, on a file system of their own.
func metadataNotBackedUp(d *drill) {
	const state = "/var/lib/loam"
	if err := os.MkdirAll(state, 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", state, "tmpfs", 0, "size=256k"); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = unix.Unmount(state, unix.MNT_DETACH) })
	d.insert(0, 320*lvm.MiB)
	d.agent.Dir = d.t.TempDir()
	if err := os.Symlink(state, filepath.Join(d.agent.Dir, "state")); err != nil {
		d.t.Fatal(err)
	}
	d.start(generous)
	k := d.keep(d.volume("data", "ext4", 64*lvm.MiB))
	filler := filepath.Join(state, "filler")
	if err := os.WriteFile(filler, make([]byte, lvm.MiB), 0o600); !errors.Is(err, unix.ENOSPC) {
		d.t.Fatalf("the file system is not full: %v", err)
	}
	d.agent.Expand(d.t, k.volume, 128*lvm.MiB)
	d.raised()
	if printed := d.follow("Look"); !strings.Contains(printed, "100%") {
		d.t.Errorf("it is not seen that it is full: %s", printed)
	}
	if err := os.Remove(filler); err != nil {
		d.t.Fatal(err)
	}
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}
