package disk

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/disk/disktest"
)

// tree is a made-up machine, and what is discovered on it.
type tree struct {
	*disktest.Tree
	t *testing.T
}

func newTree(t *testing.T) *tree {
	t.Helper()
	return &tree{disktest.New(t), t}
}

func (tr *tree) source() Source {
	return Source{Sys: tr.Root + "/sys", Dev: tr.Root + "/dev", Proc: tr.Root + "/proc"}
}

func (tr *tree) dev(name string) string { return filepath.Join(tr.Root, "dev", name) }

// TestListingWaitsForAHolderToSayWhatItIs makes a logical volume as device-mapper does: it holds the disk before sysfs has
// its name.
func TestListingWaitsForAHolderToSayWhatItIs(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	tr.Add("dm-0", map[string]string{"size": "0"})
	tr.Holds("sda", "dm-0")
	go func() {
		time.Sleep(2 * settlePause)
		tr.Write("sys/devices/dm-0/dm/uuid", "LVM-x")
		tr.Write("sys/devices/dm-0/dm/name", "vg-lv")
	}()
	if d := tr.find(tr.dev("sda")); !d.heldByVolumes() {
		t.Errorf("held by %+v, want a logical volume", d.Holders)
	}
}

func (tr *tree) discover() []Disk {
	tr.t.Helper()
	disks, err := Discover(context.Background(), tr.source())
	if err != nil {
		tr.t.Fatal(err)
	}
	return disks
}

func (tr *tree) find(path string) Disk {
	tr.t.Helper()
	disks := tr.discover()
	i := slices.IndexFunc(disks, func(d Disk) bool { return d.Path == path })
	if i < 0 {
		tr.t.Fatalf("no %s among %+v", path, disks)
	}
	return disks[i]
}

func TestDiscoverDescribesADisk(t *testing.T) {
	tr := newTree(t)
	tr.Add("sdb", map[string]string{
		"ro": "1", "removable": "1", "queue/rotational": "1", "device/model": "FAST 100 ", "wwid": "naa.5000",
		"device/vpd_pg80": "\x00\x80\x00\x08  S3R1AL\x00",
	})
	tr.Link("dev/disk/by-id/ata-FAST_100", "../../sdb")
	tr.Link("dev/disk/by-path/pci-1", "../../sdb")
	tr.Link("dev/data", "disk/by-id/ata-FAST_100")
	tr.Link("dev/disk/by-id/gone", "../../sdz")
	want := Disk{
		Path: tr.dev("sdb"), Links: []string{tr.dev("data"), tr.dev("disk/by-id/ata-FAST_100"), tr.dev("disk/by-path/pci-1")},
		Number: Number{8, 1}, Sequence: 1, Kind: Whole, Size: 10 * lvm.GiB, Rotational: true, ReadOnly: true, Removable: true,
		Model: "FAST 100", Serial: "S3R1AL", WWN: "naa.5000", writes: 5,
	}
	if got := tr.discover(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDiscoverKnowsPartitions(t *testing.T) {
	tr := newTree(t)
	tr.Add("nvme0n1", map[string]string{"serial": "S", "queue/rotational": "0"})
	tr.Add("nvme0n1/nvme0n1p1", map[string]string{"partition": "1", "size": "2048"})
	tr.Add("nvme0n1/nvme0n1p2", map[string]string{"partition": "2"})
	disk, part := tr.find(tr.dev("nvme0n1")), tr.find(tr.dev("nvme0n1p1"))
	if want := []string{tr.dev("nvme0n1p1"), tr.dev("nvme0n1p2")}; !slices.Equal(disk.Partitions, want) {
		t.Errorf("partitions %v, want %v", disk.Partitions, want)
	}
	if part.Kind != Partition || part.Parent != disk.Path || part.Size != lvm.MiB || part.Serial != "" || part.Sequence != disk.Sequence {
		t.Errorf("partition %+v", part)
	}
}

func TestDiscoverTellsDeviceMapperDevicesApart(t *testing.T) {
	for _, c := range []struct {
		uuid string
		kind Kind // "": not listed
	}{
		{"LVM-3UKpBd3r", ""}, {"mpath-3600", Multipath}, {"CRYPT-LUKS2-1234-data", Crypt}, {"part1-mpath-3600", Partition}, {"", Mapped}, {"DOCKER-1", Mapped},
	} {
		tr := newTree(t)
		tr.Add("dm-0", map[string]string{"dm/name": "data", "dm/uuid": c.uuid})
		tr.Link("dev/mapper/data", "../dm-0")
		disks := tr.discover()
		if c.kind == "" {
			if len(disks) != 0 {
				t.Errorf("%s is listed: %+v", c.uuid, disks)
			}
			continue
		}
		if len(disks) != 1 || disks[0].Kind != c.kind || disks[0].Path != tr.dev("mapper/data") || !slices.Equal(disks[0].Links, []string{tr.dev("dm-0")}) {
			t.Errorf("%q: got %+v", c.uuid, disks)
		}
		tr.remove("dev/mapper/data")
		if d := tr.find(tr.dev("dm-0")); len(d.Links) != 0 {
			t.Errorf("without a node in /dev/mapper: %+v", d)
		}
	}
}

func TestDiscoverNamesHolders(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	tr.Add("sdb", nil)
	tr.Add("sdc", nil)
	tr.Add("md127", map[string]string{"md/level": "raid1"})
	tr.Add("dm-0", map[string]string{"dm/name": "loam--fast-pool_tdata", "dm/uuid": "LVM-xyz"})
	tr.Add("dm-1", map[string]string{"dm/name": "mpatha", "dm/uuid": "mpath-3600"})
	tr.Holds("sda", "md127")
	tr.Holds("sdb", "dm-0")
	tr.Holds("sdc", "dm-1")
	tr.Holds("sdc", "bcache0")
	for path, want := range map[string][]Holder{
		"sda": {{"md127", MD}}, "sdb": {{"loam--fast-pool_tdata", LV}}, "sdc": {{"bcache0", Mapped}, {"mpatha", Multipath}}, "md127": nil,
	} {
		if d := tr.find(tr.dev(path)); !reflect.DeepEqual(d.Holders, want) {
			t.Errorf("%s is held by %v, want %v", path, d.Holders, want)
		}
	}
	if d := tr.find(tr.dev("sdb")); !d.heldByVolumes() || d.heldByOthers() {
		t.Error("sdb is held by a logical volume alone")
	}
	if d := tr.find(tr.dev("sdc")); d.heldByVolumes() || !d.heldByOthers() {
		t.Error("sdc is held by others")
	}
}

func TestDiscoverLeavesOutWhatCanNeverBeUsed(t *testing.T) {
	tr := newTree(t)
	tr.Add("ram0", map[string]string{"dev": "1:0"})
	tr.Add("fd0", map[string]string{"dev": "2:0"})
	tr.Add("sr0", map[string]string{"dev": "11:0"})
	tr.Add("loop0", map[string]string{"dev": "7:0", "size": "0"})
	tr.Add("zram0", map[string]string{"dev": "252:0"})
	tr.Add("nvme0c0n1", map[string]string{"hidden": "1", "dev": "", "stat": ""})
	tr.Add("loop1", map[string]string{"dev": "7:1"})
	if got := tr.discover(); len(got) != 1 || got[0].Kind != Loop || got[0].Path != tr.dev("loop1") {
		t.Errorf("got %+v, want loop1 alone", got)
	}
}

func TestDiscoverFindsMountsAndSwap(t *testing.T) {
	tr := newTree(t)
	for _, name := range []string{"sda", "sdb", "sdc", "sdd", "sde"} {
		tr.Add(name, nil)
	}
	tr.Link("dev/disk/by-label/pg data", "../../sdb")
	tr.Write("proc/self/mountinfo", "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"+
		`22 21 0:44 / /srv/pg\040data rw master:1 shared:2 - btrfs `+tr.Root+`/dev/disk/by-label/pg\040data rw`+"\n")
	tr.Write("proc/1/mountinfo", "23 1 8:1 / /host rw - ext4 /dev/root rw\n24 1 8:3 / /elsewhere rw - ext4 none rw\n")
	tr.Write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"+tr.Root+"/dev/sdd partition 1 0 -2\n/swap\\040file file 1 0 -3\n")
	for name, want := range map[string][]string{"sda": {"/", "/host"}, "sdb": {"/srv/pg data"}, "sdc": {"/elsewhere"}, "sdd": nil, "sde": nil} {
		if d := tr.find(tr.dev(name)); !slices.Equal(d.Mounts, want) || d.Swap != (name == "sdd") {
			t.Errorf("%s is mounted at %q, swap %v; want %q", name, d.Mounts, d.Swap, want)
		}
	}
}

func TestDiscoverFailsRatherThanTakeAFailedLookUpForAbsence(t *testing.T) {
	for _, break_ := range []struct {
		name string
		how  func(tr *tree)
	}{
		{"no mounts", func(tr *tree) { tr.remove("proc/self/mountinfo") }},
		{"mounts that cannot be read", func(tr *tree) { tr.Write("proc/self/mountinfo", "21 1 8:1 / /\n") }},
		{"no /sys", func(tr *tree) { tr.remove("sys/class/block") }},
		{"no holders", func(tr *tree) { tr.remove("sys/devices/sda/holders") }},
		{"no size", func(tr *tree) { tr.remove("sys/devices/sda/size") }},
		{"a size that is none", func(tr *tree) { tr.Write("sys/devices/sda/size", "-1") }},
		{"no number", func(tr *tree) { tr.Write("sys/devices/sda/dev", "8") }},
	} {
		t.Run(break_.name, func(t *testing.T) {
			tr := newTree(t)
			tr.Add("sda", nil)
			break_.how(tr)
			if disks, err := Discover(context.Background(), tr.source()); err == nil {
				t.Errorf("got %+v without an error", disks)
			}
		})
	}
}

func (tr *tree) remove(path string) {
	tr.t.Helper()
	if err := os.RemoveAll(filepath.Join(tr.Root, path)); err != nil {
		tr.t.Fatal(err)
	}
}

func TestDiscoverPassesOverADeviceThatGoesAway(t *testing.T) {
	tr := newTree(t)
	tr.Add("sda", nil)
	tr.Add("sdb", nil)
	tr.remove("sys/devices/sdb") // its link in class/block leads nowhere
	if got := tr.discover(); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestDiscoverNamesNodesInFolders(t *testing.T) {
	tr := newTree(t)
	tr.Add("cciss!c0d0", nil)
	if got := tr.discover(); len(got) != 1 || got[0].Path != tr.dev("cciss/c0d0") {
		t.Errorf("got %+v", got)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add("21 1 8:1 / /a\\040b rw shared:1 - ext4 /dev/sda rw\n")
	f.Add("22 21 0:44 / /srv rw - btrfs /dev/sdb rw\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseMounts(text)
		if err == nil && len(mounts) != strings.Count(strings.TrimSuffix(text, "\n"), "\n")+min(1, len(text)) {
			t.Errorf("%d mounts of %q", len(mounts), text)
		}
		parseSwaps(text)
	})
}
