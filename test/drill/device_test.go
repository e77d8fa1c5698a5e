package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// thick is a pool whose volumes are on one disk each, as long as they fit.
const thick = "{name: p, type: thick, devices: {paths: [" + anySlot + "]}, reserve: 0%}"

func diskMissing(d *drill) {
	d.insert(0, 320*lvm.MiB)
	d.insert(1, 320*lvm.MiB)
	d.start(thick)
	first, second := d.volume("first", "ext4", 200*lvm.MiB), d.volume("second", "ext4", 200*lvm.MiB)
	k, lost := d.keep(first), d.keep(second)
	bad := d.holding(second)
	if bad.name == d.holding(first).name {
		d.t.Fatal("both volumes are on one disk")
	}

	if lvmtest.IsLong() {
		d.overwritten(bad, lost)
	}
	bad.pull()
	d.raised()
	d.follow("Look")
	d.agent.Unmount(d.t, second)
	d.follow("It is lost")
	d.agent.Delete(d.t, second) // its claim
	d.insert(2, 320*lvm.MiB)
	d.await("the new disk is taken", func() bool {
		printed := d.follow("Over when")
		return strings.Contains(printed, "slot-2") && len(d.taken()) == 2
	})
	d.cleared()
	k.holds(d)
	again := d.volume("again", "ext4", 200*lvm.MiB)
	d.keep(again)
	d.agent.Unmount(d.t, again)
	d.agent.Unmount(d.t, first)
}

// overwritten has a disk's beginning overwritten, so that it is there and nobody knows it, and restores it.
func (d *drill) overwritten(s slot, k kept) {
	d.t.Helper()
	d.agent.Unmount(d.t, k.volume)
	d.overwrite(s)
	d.raised()
	if printed := d.follow("Look"); !strings.Contains(printed, "misses 1 of its 2") {
		d.t.Errorf("it is not said what is wrong: %s", printed)
	}
	for _, command := range indented(d.follow("It is there, and its beginning was overwritten")) {
		d.run(command)
	}
	d.cleared()
	d.mount(k.volume)
	k.holds(d)
}

// holding is the slot that a thick volume is on.
func (d *drill) holding(v *csi.Volume) slot {
	d.t.Helper()
	out, err := exec.Command("dmsetup", "deps", "-o", "devname", "loam--p-"+filepath.Base(v.GetVolumeId())).Output()
	name := regexp.MustCompile(`slot-\d`).FindString(string(out))
	if err != nil || name == "" {
		d.t.Fatalf("%v: %s", err, out)
	}
	return d.on(name)
}

// overwrite makes the beginning of a disk zeroes.
func (d *drill) overwrite(s slot) {
	d.t.Helper()
	f, err := os.OpenFile(s.path(), os.O_WRONLY|os.O_SYNC, 0)
	if err == nil {
		_, err = f.Write(make([]byte, lvm.MiB))
		f.Close()
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// indented are the lines that stand in by two blanks: commands to run.
func indented(printed string) (all []string) {
	for line := range strings.Lines(printed) {
		if command, ok := strings.CutPrefix(line, "  "); ok {
			all = append(all, strings.TrimSpace(command))
		}
	}
	return all
}

// diskSilent has a SCSI disk not answer, twice: then it answers again, and then the kernel is told to give it up.
func diskSilent(d *drill) {
	disk := d.insertSCSI(160 * lvm.MiB)
	d.start(strings.ReplaceAll(thick, anySlot, disk.path()))
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	disk.answers(false)
	d.raised()
	if printed := d.follow("Look"); !strings.Contains(printed, "do not answer") {
		d.t.Errorf("it is not said what is wrong: %s", printed)
	}
	disk.answers(true)
	d.cleared()
	k.holds(d)

	disk.answers(false)
	d.raised()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = os.WriteFile(filepath.Join(d.agent.Target(k.volume), "synced"), make([]byte, lvm.MiB), 0o600) // that it ends is what counts
		unix.Sync()
	}()
	d.words["DISK"] = disk.name
	d.follow("It does not come back")
	<-ended
	d.await("the alert is over", func() bool { return d.rule().State == "inactive" })
	if printed := d.run("loam pool show p"); !strings.Contains(printed, "none of the physical volumes") {
		d.t.Errorf("it does not go on as a missing disk: %s", printed)
	}
	d.agent.Unmount(d.t, k.volume)
}

// suspend suspends a device until somebody resumes it, or the drill ends.
func (d *drill) suspend(name string) {
	d.t.Helper()
	d.dmsetup("suspend", "--nolockfs", name)
	d.t.Cleanup(func() { d.dmsetup("resume", name) })
}

func devicesSuspended(d *drill) {
	d.insert(0, 320*lvm.MiB)
	d.start(generous)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	// Somebody's command that does not end has the group.
	holder := exec.Command("flock", "/run/lock/lvm/V_loam-p", "sleep", "3600")
	holder.SysProcAttr = &unix.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := holder.Start(); err != nil {
		d.t.Fatal(err)
	}
	end := sync.OnceFunc(func() { _ = unix.Kill(-holder.Process.Pid, unix.SIGKILL); _ = holder.Wait() })
	d.t.Cleanup(end)
	time.Sleep(time.Second) // until flock has it; it says nothing
	d.suspend("loam--p-data")
	d.raised()
	printed := d.follow("Look")
	d.words["PROCESS"] = d.first(printed, "/run/lock/lvm/V_loam-p")
	if d.words["PROCESS"] != fmt.Sprint(holder.Process.Pid) {
		d.t.Errorf("the page finds process %s, it is %d", d.words["PROCESS"], holder.Process.Pid)
	}
	d.follow("A command is at work that does not end")
	end() // its children
	d.cleared()
	k.holds(d)
	d.suspend("loam--p-data")
	d.follow("None is at work")
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}

func fileSystemFailed(d *drill) {
	d.insert(0, 320*lvm.MiB)
	d.start(thick)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	failing := d.on("loam--p-data")
	failing.become(strings.Replace(failing.table, "linear", "flakey", 1) + " 0 3600 1 error_writes") // never well, for an hour
	for i := range 3 {                                                                               // one failure of its journal is noticed at the next change
		_ = os.WriteFile(filepath.Join(d.agent.Target(k.volume), fmt.Sprint(i)), []byte("x"), 0o600)
		unix.Sync()
	}
	d.raised()
	printed := d.follow("Look")
	d.words["NAME"] = d.first(printed, "has found errors", "db/data")
	failing.become(failing.table) // what is below was mended
	d.agent.Unmount(d.t, k.volume)
	printed = d.follow("Find its device")
	d.words["DEVICE"] = regexp.MustCompile(`/dev/mapper/\S+`).FindString(printed)
	d.follow("Check an ext4")
	d.mount(k.volume)
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}

func poolNotReady(d *drill) {
	s := d.insert(0, 320*lvm.MiB)
	if out, err := exec.Command("mkfs.ext4", "-q", "-L", "old", s.path()).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	d.start(thick)
	d.raised()
	if printed := d.follow("Look"); !strings.Contains(printed, `holds an ext4 file system labelled "old"`) {
		d.t.Errorf("it is not said what is wrong: %s", printed)
	}
	d.words["DISK"] = s.path()
	end := 320*lvm.MiB - lvm.MiB
	d.words["LAST"] = fmt.Sprint(int64(end))
	d.follow("Make a disk blank")
	d.cleared()
	d.agent.Unmount(d.t, d.keep(d.volume("data", "ext4", 100*lvm.MiB)).volume)
}

func lvmFailing(d *drill) {
	s := d.insert(0, 320*lvm.MiB)
	d.start(thick)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	var length, start int64
	var device string
	if _, err := fmt.Sscanf(s.table, "0 %d linear %s %d", &length, &device, &start); err != nil {
		d.t.Fatal(err)
	}
	const head = int64(lvm.MiB / lvm.Sector) // where LVM's metadata are
	s.become(fmt.Sprintf("0 %d flakey %s %d 0 3600 1 error_writes\n%d %d linear %s %d", head, device, start, head, length-head, device, start+head))
	for i := range 6 {
		_, err := d.agent.Controller().CreateVolume(context.Background(), nodetest.Request(fmt.Sprintf("v%d", i), "", 8*lvm.MiB))
		if err == nil {
			d.t.Error("a volume was made whose metadata could not be written")
		}
		time.Sleep(time.Second) // increases are seen between two scrapes
	}
	d.raised()
	if command := d.ask("Look")["command"]; command != "lvcreate" {
		d.t.Errorf("what fails is %q, want lvcreate", command)
	}
	d.follow("Look")
	s.become(s.table)
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}

func lvmSlow(d *drill) {
	s := d.insert(0, 320*lvm.MiB)
	d.start(thick)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	var length int64
	var where string
	if _, err := fmt.Sscanf(s.table, "0 %d linear %s", &length, &where); err != nil {
		d.t.Fatal(err)
	}
	d.load("dm-delay")
	const slow = 4000 // milliseconds for each write; a disk that takes five seconds is silent
	s.become(fmt.Sprintf("0 %d delay %s 2048 0 %s 2048 %d", length, where, where, slow))
	made := d.volume("slow", "", 8*lvm.MiB)
	s.become(s.table)
	d.raised()
	d.ask("Look")
	d.follow("Look")
	d.agent.Delete(d.t, made) // quickly
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}

// agentBlind leaves no room for the files that LVM locks, so that neither the agent nor LVM reads what the pool is.
func agentBlind(d *drill) {
	const locks = "/run/lock/lvm"
	d.insert(0, 320*lvm.MiB)
	d.start(thick)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	if err := unix.Mount("tmpfs", locks, "tmpfs", 0, "nr_inodes=16"); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = unix.Unmount(locks, unix.MNT_DETACH) })
	folder := filepath.Join(locks, "somebody's")
	err := os.Mkdir(folder, 0o700)
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), nil, 0o600)
	}
	if !errors.Is(err, unix.ENOSPC) {
		d.t.Fatal(err)
	}
	d.raised()
	if printed := d.follow("Look"); !strings.Contains(printed, "100%") {
		d.t.Errorf("it is not seen that no file can be made: %s", printed)
	}
	if err := os.RemoveAll(folder); err != nil {
		d.t.Fatal(err)
	}
	d.cleared()
	k.holds(d)
	d.agent.Unmount(d.t, k.volume)
}
