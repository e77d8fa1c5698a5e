package drill

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// TestOperating follows docs/operate.md.
func TestOperating(t *testing.T) {
	lvmtest.Long(t)
	usePrograms(t)
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			d := &drill{t: t, disks: lvmtest.RequireDisks(t, 4), words: map[string]string{"POOL": "p"}, followed: map[string]bool{}}
			d.page = readPage(t, address+"docs/operate.md")
			d.operate(kind)
			d.wantAllFollowed()
		})
	}
}

// pool is the configuration of pool p.
func pool(kind, reserve, exclude string) string {
	return fmt.Sprintf("{name: p, type: %s, devices: {paths: [%s], exclude: [%s]}, reserve: %s}", kind, anySlot, exclude, reserve)
}

// configure changes the configuration, which the agent follows.
func (d *drill) configure(text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.agent.Dir, "config.yaml"), []byte("pools:\n- "+text+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	time.Sleep(3 * time.Second) // the agent reads it once a second, and does not say so
}

func (d *drill) operate(kind string) {
	old := d.insert(0, 320*lvm.MiB)
	d.start(pool(kind, "0%", "/dev/none"))
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	before := d.agent.Capacity(d.t)
	d.insert(1, 256*lvm.MiB)
	d.await("the pool grows", func() bool { d.follow("Add a disk"); return d.agent.Capacity(d.t) > before })

	d.configure(pool(kind, "800Mi", "/dev/none")) // all of the new disk
	d.insert(2, 800*lvm.MiB)
	d.await("the disk is taken", func() bool { return len(d.taken()) == 3 })
	writing := d.write(filepath.Join(d.agent.Target(k.volume), "busy"))
	d.words["OLDDISK"] = old.path()
	const heading = "Replace a disk that still works"
	both := d.page.commands[heading]
	d.page.commands[heading] = both[:2]
	d.follow(heading)
	d.configure(pool(kind, "800Mi", old.path())) // between the two fences
	d.page.commands[heading] = both[2:]
	d.follow(heading)
	old.pull()
	d.configure(pool(kind, "0%", old.path()))
	d.await("the pool has two disks, and its room", func() bool {
		return len(d.taken()) == 2 && d.agent.Capacity(d.t) > 700*lvm.MiB
	})
	writing()
	k.holds(d)

	d.agent.Unmount(d.t, d.keep(d.volume("forgotten", "ext4", 32*lvm.MiB)).volume)
	if !strings.Contains(d.follow("Make room in a pool"), "forgotten") {
		d.t.Error("a volume is not listed")
	}
	d.words["NAME"] = "forgotten"
	d.follow("Volumes that nobody names")
	d.agent.Unmount(d.t, k.volume)
	d.uninstalled(k)
}

// uninstalled is when the agent is gone: what is on the disks is LVM's.
func (d *drill) uninstalled(k kept) {
	d.agent.Stop()
	d.words["NAME"] = "data"
	d.follow("Uninstall, and leave the data")
	if got := nodetest.Checksum(d.t, "/mnt/kept", contents); got != k.sum {
		d.t.Error("without Loam the contents are others")
	}
	if err := unix.Unmount("/mnt", 0); err != nil {
		d.t.Fatal(err)
	}
}

// write writes to a file all the time, until the function that it returns is called; no write may fail.
func (d *drill) write(file string) (end func()) {
	stop, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			case <-time.After(50 * time.Millisecond):
			}
			if out, err := exec.Command("dd", "if=/dev/zero", "of="+file, "bs=64k", "count=16", "conv=fsync").CombinedOutput(); err != nil {
				ended <- fmt.Errorf("%w: %s", err, out)
				return
			}
		}
	}()
	return func() {
		d.t.Helper()
		close(stop)
		if err := <-ended; err != nil {
			d.t.Errorf("writing meanwhile: %v", err)
		}
	}
}
