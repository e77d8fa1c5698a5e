package disk

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// image is a row of the matrix: what is put on the first of the disks, and what must be said of which device.
type image struct {
	name  string
	disks int
	put   func(r *real)
	want  map[string]string // by device, %s being the first disk; "": free
}

var images = []image{
	{"nothing", 1, func(*real) {}, map[string]string{"%s": ""}},
	{"ext4", 1, func(r *real) { r.run("e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "pgdata", r.disks[0]) },
		map[string]string{"%s": `holds an ext4 file system labelled "pgdata"`}},
	{"xfs", 1, func(r *real) { r.run("xfsprogs", "mkfs.xfs", "-q", "-K", r.disks[0]) }, map[string]string{"%s": "holds an xfs file system"}},
	{"btrfs", 1, func(r *real) { r.run("btrfs-progs", "mkfs.btrfs", "-q", "-K", r.disks[0]) }, map[string]string{"%s": "holds a btrfs file system"}},
	{"LUKS", 1, luks, map[string]string{"%s": "holds a LUKS encrypted volume"}},
	{"GPT", 1, func(r *real) { r.run("gdisk", "sgdisk", "-n", "1:0:+100M", "-n", "2:0:+100M", r.disks[0]) },
		map[string]string{"%s": "partitioned (gpt, 2 partitions)"}},
	{"MBR", 1, mbr, map[string]string{"%s": "partitioned (dos, 1 partition)", "%s1": ""}},
	{"a mounted partition", 1, mountedPartition,
		map[string]string{"%s": "partitioned (dos, 1 partition)", "%s1": "mounted at MOUNT; holds an ext4 file system"}},
	{"md, running", 2, func(r *real) { md(r) }, map[string]string{"%s": "in use by md9; a member of an md RAID", "/dev/md9": ""}},
	{"md, stopped", 2, func(r *real) { md(r)() }, map[string]string{"%s": "a member of an md RAID"}},
	{"a physical volume of a foreign group", 1, foreign, map[string]string{"%s": "LVM physical volume of volume group other"}},
	{"a physical volume in use", 1, foreignInUse,
		map[string]string{"%s": "in use by logical volume other-lv; LVM physical volume of volume group other"}},
	{"a physical volume of no group", 1, func(r *real) { r.run("lvm2", "pvcreate", "-qq", "--config", "devices{use_devicesfile=0}", r.disks[0]) },
		map[string]string{"%s": "an LVM physical volume of no volume group that can be read (pvremove(8) makes one blank)"}},
	{"a copy of a physical volume", 2, copied,
		map[string]string{"%s": "carries the same LVM UUID as SECOND: one is a copy of the other (vgimportclone(8) gives a copy an identity of its own)"}},
	{"swap space", 1, func(r *real) { r.run("util-linux", "mkswap", r.disks[0]) }, map[string]string{"%s": "holds swap space"}},
	{"swap in use", 1, swapping, map[string]string{"%s": "used as swap; holds swap space"}},
	{"ZFS", 1, zfs, map[string]string{"%s": "a member of a ZFS pool"}},
	{"mounted", 1, mounted, map[string]string{"%s": `mounted at MOUNT; holds an ext4 file system`}},
	{"a path of a multipath device", 1, multipath, map[string]string{"%s": "a path of multipath device mpatha", "/dev/mapper/mpatha": ""}},
	{"in a device-mapper device", 1, func(r *real) { r.dm("theirs", "theirs", fmt.Sprintf("0 2048 linear %s 0", r.disks[0])) },
		map[string]string{"%s": "in use by theirs", "/dev/mapper/theirs": "a device-mapper device of unknown purpose"}},
	{"held by a program", 1, heldByProgram, map[string]string{"%s": "held open exclusively by a program, or mounted where the agent cannot see it"}},
	{"data of no format", 1, func(r *real) { r.write(r.disks[0], 8192, []byte("precious")) },
		map[string]string{"%s": "holds data at byte 8192 that no known format explains"}},
	{"read-only", 1, readOnly, map[string]string{"%s": "read-only"}},
}

// TestOtherPeoplesDisksAreRefusedAndLeftAsTheyAre is fault 25.
func TestOtherPeoplesDisksAreRefusedAndLeftAsTheyAre(t *testing.T) {
	scanner := &Scanner{} // one for all, so that it also sees how the disks change
	for _, image := range images {
		t.Run(image.name, func(t *testing.T) {
			r := onRealDisks(t, image.disks)
			r.scanner = scanner
			image.put(r)
			before := r.state()
			for device, want := range image.want {
				device = strings.Replace(device, "%s", r.disks[0], 1)
				want = strings.Replace(want, "MOUNT", r.mountPoint(), 1)
				want = strings.Replace(want, "SECOND", r.disks[len(r.disks)-1], 1)
				v := r.verdict(device)
				if v.Reason() != want || (v.State == Free) != (want == "") {
					t.Errorf("%s: %s: %s\nwant: %q", device, v.State, v.Reason(), want)
				}
			}
			if after := r.state(); after != before {
				t.Errorf("the disks were\n%s\nand are now\n%s", before, after)
			}
		})
	}
}

func (r *real) mountPoint() string { return filepath.Join(os.TempDir(), "loam-disk-test") }

func (r *real) mount(device string) {
	r.t.Helper()
	if err := os.MkdirAll(r.mountPoint(), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := unix.Mount(device, r.mountPoint(), "ext4", unix.MS_RDONLY, ""); err != nil {
		r.t.Fatalf("mount %s: %v", device, err)
	}
	r.t.Cleanup(func() {
		if err := unix.Unmount(r.mountPoint(), 0); err != nil {
			r.t.Error(err)
		}
	})
}

func mounted(r *real) {
	r.run("e2fsprogs", "mkfs.ext4", "-q", "-F", r.disks[0])
	r.mount(r.disks[0])
}

func mountedPartition(r *real) {
	mbr(r)
	r.run("e2fsprogs", "mkfs.ext4", "-q", "-F", r.disks[0]+"1")
	r.mount(r.disks[0] + "1")
}

// mbr writes a partition table as DOS had it, with one partition of 64 MiB.
func mbr(r *real) {
	sector := make([]byte, 512)
	entry := sector[446:]
	entry[4] = 0x83
	binary.LittleEndian.PutUint32(entry[8:], 2048)
	binary.LittleEndian.PutUint32(entry[12:], 64<<20/512)
	sector[510], sector[511] = 0x55, 0xaa
	r.write(r.disks[0], 0, sector)
	r.forgetPartitions(r.disks[0])
	r.write(r.disks[0]+"1", 64<<20-ends, make([]byte, ends)) // another test may have left something there
}

func luks(r *real) {
	key := filepath.Join(r.t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("key"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.run("kmod", "modprobe", "-a", "dm-crypt", "algif_skcipher")
	r.run("cryptsetup-bin", "cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", "--key-file", key, r.disks[0])
}

// md makes an array of two disks, and returns how to stop it before the test ends.
func md(r *real) (stop func()) {
	r.run("kmod", "modprobe", "raid1")
	args := append([]string{"--create", "/dev/md9", "--run", "--assume-clean", "--level=1", "--metadata=1.2", "--bitmap=none", "--raid-devices=2"}, r.disks...)
	r.run("mdadm", "mdadm", args...)
	r.write("/sys/class/block/md9/md/array_state", 0, []byte("clean")) // or md writes that itself a moment later
	stopped := false
	stop = func() {
		if !stopped {
			r.run("mdadm", "mdadm", "--stop", "/dev/md9")
		}
		stopped = true
	}
	r.t.Cleanup(stop)
	return stop
}

func foreign(r *real) {
	r.lvm.SetDevices(r.disks)
	if err := r.lvm.CreateGroup(lvm.CreateGroup{Name: "other", Devices: r.disks[:1]}); err != nil {
		r.t.Fatal(err)
	}
}

func foreignInUse(r *real) {
	foreign(r)
	if err := r.lvm.CreateThick(lvm.CreateThick{VG: "other", Name: "lv", Size: 4 * lvm.MiB}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := r.lvm.Deactivate("other", "lv"); err != nil {
			r.t.Error(err)
		}
	})
}

// copied makes a group on the first disk and a copy of that on the second.
func copied(r *real) {
	foreign(r)
	head := make([]byte, ends)
	f, err := os.Open(r.disks[0])
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadFull(f, head); err != nil {
		r.t.Fatal(err)
	}
	r.write(r.disks[1], 0, head)
}

func swapping(r *real) {
	r.run("util-linux", "mkswap", r.disks[0])
	r.run("mount", "swapon", r.disks[0])
	r.t.Cleanup(func() { r.run("mount", "swapoff", r.disks[0]) })
}

// zfs writes uberblocks into the first of ZFS's labels, as many as blkid wants to see (libblkid, zfs.c).
func zfs(r *real) {
	block := make([]byte, 1024)
	binary.LittleEndian.PutUint64(block, 0x00bab10c)
	for i := range int64(32) {
		r.write(r.disks[0], 128<<10+i*1024, block)
	}
}

func multipath(r *real) {
	r.run("kmod", "modprobe", "-a", "dm-multipath", "dm-round-robin")
	r.dm("mpatha", "mpath-test", fmt.Sprintf("0 %d multipath 0 0 1 1 round-robin 0 1 1 %s 1000", r.size(r.disks[0])/512, r.disks[0]))
}

func heldByProgram(r *real) {
	f, err := os.OpenFile(r.disks[0], os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { f.Close() })
}

func readOnly(r *real) {
	r.run("util-linux", "blockdev", "--setro", r.disks[0])
	r.t.Cleanup(func() { r.run("util-linux", "blockdev", "--setrw", r.disks[0]) })
}
