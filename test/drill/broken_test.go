package drill

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// poolBroken has the metadata's disk fail in the middle of a commit: all of it but the superblock, in which the kernel notes that.
func poolBroken(d *drill) {
	d.insert(0, 320*lvm.MiB)
	d.start(generous)
	k := d.keep(d.volume("data", "ext4", 100*lvm.MiB))
	d.volume("unlucky", "", 64*lvm.MiB)
	metadata := d.on("loam--p-pool_tmeta")
	var length, offset int64
	var device string
	if _, err := fmt.Sscanf(metadata.table, "0 %d linear %s %d", &length, &device, &offset); err != nil {
		d.t.Fatalf("%q: %v", metadata.table, err)
	}
	const superblock = 8 // sectors
	metadata.become(fmt.Sprintf("0 %d linear %s %d\n%d %d flakey %s %d 0 3600 1 error_writes",
		superblock, device, offset, superblock, length-superblock, device, offset+superblock))
	f, err := os.OpenFile("/dev/mapper/loam--p-unlucky", os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, lvm.MiB), int64(32*lvm.MiB))
	f.Close()
	if err == nil {
		d.t.Error("what was written without metadata was acknowledged")
	}
	metadata.become(metadata.table)
	d.raised()
	printed := d.follow("Look")
	d.agent.Unmount(d.t, k.volume) // the pods stop, and then the agent
	if err := os.MkdirAll("/var/lib/loam", 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.follow("Keep a copy")
	d.agent.Stop()
	said := strings.Split(printed, "`")
	for i := 1; i < len(said); i += 2 {
		if strings.HasPrefix(said[i], "vgchange -an") || strings.HasPrefix(said[i], "lv") {
			d.run(said[i])
		}
	}
	d.start(generous)
	d.mount(k.volume)
	d.cleared()
	k.holds(d)
	d.follow("Remove the old metadata")
	if printed := d.run("loam pool show p"); strings.Contains(printed, "Others") {
		d.t.Errorf("something of the repair takes room still: %s", printed)
	}
	d.agent.Unmount(d.t, k.volume)
}
