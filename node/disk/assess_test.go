package disk

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/signature"
)

func pools(t *testing.T, text string) []config.Pool {
	t.Helper()
	c, err := config.Parse("test", []byte("pools:\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return c.Pools
}

// a disk of 100 GiB, changed as the test needs it.
func a(path string, change ...func(*Inspected)) Inspected {
	d := Inspected{Disk: Disk{Path: path, Kind: Whole, Size: 100 * lvm.GiB}, Signature: blank}
	for _, f := range change {
		f(&d)
	}
	return d
}

func with(s signature.Signature) func(*Inspected) { return func(d *Inspected) { d.Signature = s } }

func pv(uuid string) func(*Inspected) {
	return with(signature.Signature{Type: physicalVolume, Usage: "raid", UUID: uuid})
}

func heldBy(name string, kind Kind) func(*Inspected) {
	return func(d *Inspected) { d.Holders = append(d.Holders, Holder{name, kind}) }
}

func vg(name, uuid string, devices ...string) lvm.VolumeGroup {
	g := lvm.VolumeGroup{Name: name, UUID: uuid}
	for _, d := range devices {
		g.PVs = append(g.PVs, lvm.PhysicalVolume{Device: d, UUID: "pv of " + d})
	}
	return g
}

func TestOneDiskAndItsReason(t *testing.T) {
	fast := pools(t, `
- name: fast
  devices: {paths: [/dev/sd*, "/dev/disk/by-id/nvme-*", /dev/mapper/*], exclude: ["*-part*", /dev/sdx], minSize: 50Gi, maxSize: 1Ti, rotational: false}
`)
	fs := func(kind, label string) func(*Inspected) {
		return with(signature.Signature{Type: kind, Usage: "filesystem", Label: label})
	}
	for _, c := range []struct {
		name string
		disk Inspected
		want string // "": free
	}{
		{"blank and named", a("/dev/sdb"), ""},
		{"named by a link", a("/dev/nvme0n1", func(d *Inspected) { d.Links = []string{"/dev/disk/by-id/nvme-X"} }), ""},
		{"multipath map", a("/dev/mapper/mpatha", func(d *Inspected) { d.Kind = Multipath }), ""},
		{"opened LUKS", a("/dev/mapper/data", func(d *Inspected) { d.Kind = Crypt }), ""},
		{"not named", a("/dev/vdb"), "matches no pool's devices.paths"},
		{"a pattern does not cross a slash", a("/dev/sd/b"), "matches no pool's devices.paths"},
		{"excluded by a path", a("/dev/sdx"), `excluded by "/dev/sdx" of pool fast`},
		{"excluded by the name of a link", a("/dev/sdb1", func(d *Inspected) { d.Links = []string{"/dev/disk/by-id/x-part1"} }), `excluded by "*-part*" of pool fast`},
		{"too small", a("/dev/sdb", func(d *Inspected) { d.Size = 50*lvm.GiB - 512 }), "smaller than minSize 50 GiB of pool fast"},
		{"too large", a("/dev/sdb", func(d *Inspected) { d.Size = lvm.TiB + 512 }), "larger than maxSize 1 TiB of pool fast"},
		{"spins", a("/dev/sdb", func(d *Inspected) { d.Rotational = true }), "rotational, and pool fast takes only disks that are not"},
		{"another's map", a("/dev/mapper/x", func(d *Inspected) { d.Kind = Mapped }), "a device-mapper device of unknown purpose"},
		{"read-only", a("/dev/sdb", func(d *Inspected) { d.ReadOnly = true }), "read-only"},
		{"mounted", a("/dev/sdb", fs("ext4", "pgdata"), func(d *Inspected) { d.Mounts = []string{"/srv", "/mnt"} }),
			`mounted at /srv and /mnt; holds an ext4 file system labelled "pgdata"`},
		{"xfs", a("/dev/sdb", fs("xfs", "")), "holds an xfs file system"},
		{"btrfs", a("/dev/sdb", fs("btrfs", "")), "holds a btrfs file system"},
		{"swap", a("/dev/sdb", with(signature.Signature{Type: "swap", Usage: "other"}), func(d *Inspected) { d.Swap = true }), "used as swap; holds swap space"},
		{"LUKS", a("/dev/sdb", with(signature.Signature{Type: "crypto_LUKS", Usage: "crypto", Label: "x"})), `holds a LUKS encrypted volume labelled "x"`},
		{"ZFS", a("/dev/sdb", with(signature.Signature{Type: "zfs_member", Usage: "filesystem", Label: "tank"})), `a member of a ZFS pool labelled "tank"`},
		{"RAID", a("/dev/sdb", with(signature.Signature{Type: "linux_raid_member", Usage: "raid"}), heldBy("md127", MD)), "in use by md127; a member of an md RAID"},
		{"unknown type", a("/dev/sdb", with(signature.Signature{Type: "oracleasm", Usage: "other"})), "holds oracleasm"},
		{"several formats", a("/dev/sdb", with(signature.Signature{Ambivalent: true})), "holds signatures of several formats"},
		{"data of no format", a("/dev/sdb", with(signature.Signature{DataAt: 4096})), "holds data at byte 4096 that no known format explains"},
		{"multipath path", a("/dev/sdb", heldBy("mpatha", Multipath)), "a path of multipath device mpatha"},
		{"many holders", a("/dev/sdb", heldBy("a", LV), heldBy("b", LV), heldBy("c", LV), heldBy("d", LV)),
			"in use by logical volume a and logical volume b and 2 more"},
		{"partitioned", a("/dev/sdb", with(signature.Signature{PartitionTable: "gpt"}), func(d *Inspected) { d.Partitions = []string{"1", "2", "3"} }),
			"partitioned (gpt, 3 partitions)"},
		{"an empty partition table", a("/dev/sdb", with(signature.Signature{PartitionTable: "dos"})), "partitioned (dos, no partitions)"},
		{"a file system with a partition table", a("/dev/sdb", with(signature.Signature{PartitionTable: "dos", Type: "iso9660", Usage: "filesystem"})),
			"partitioned (dos, no partitions); holds an iso9660 file system"},
		{"held", a("/dev/sdb", func(d *Inspected) { d.Held = true }), "held open exclusively by a program, or mounted where the agent cannot see it"},
		{"silent", a("/dev/sdb", func(d *Inspected) { d.Signature, d.Err = signature.Signature{}, fmt.Errorf("%w within 5s", ErrSilent) }), "did not answer within 5s"},
		{"unreadable", a("/dev/sdb", func(d *Inspected) { d.Signature, d.Err = signature.Signature{}, signature.ErrUnreadable }), "cannot be examined: unreadable"},
		{"a physical volume of nobody", a("/dev/sdb", pv("u")), "an LVM physical volume of no volume group that can be read (pvremove(8) makes one blank)"},
		{"a physical volume on an array", a("/dev/sdb", pv("u"), heldBy("md0", MD)), "in use by md0; holds an LVM physical volume"},
		{"all at once", a("/dev/vda", fs("ext4", ""), func(d *Inspected) { d.ReadOnly = true }), "matches no pool's devices.paths; read-only; holds an ext4 file system"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Assess(Survey{Disks: []Inspected{c.disk}, Pools: fast})[0]
			state := Refused
			if c.want == "" {
				state = Free
			}
			if got.State != state || got.Reason() != c.want {
				t.Errorf("got  %s: %s\nwant %s: %s", got.State, got.Reason(), state, c.want)
			}
		})
	}
}

func TestADiskIsUnnamedWhenTheConfigurationAloneIsInItsWay(t *testing.T) {
	named := pools(t, "- {name: p, devices: {paths: [/dev/sd?], exclude: [/dev/sdx]}}\n")
	for want, disks := range map[bool][]Inspected{
		true:  {a("/dev/vda")},
		false: {a("/dev/sda"), a("/dev/sdx"), a("/dev/vda", pv("u")), a("/dev/vda", func(d *Inspected) { d.ReadOnly = true })},
	} {
		for _, d := range disks {
			if got := Assess(Survey{Disks: []Inspected{d}, Pools: named})[0]; got.Unnamed != want {
				t.Errorf("%s: %+v; want unnamed %v", d.Path, got, want)
			}
		}
	}
}

func TestWhatAnInterruptedCommandLeftIsTakenLikeABlankDisk(t *testing.T) {
	named := pools(t, "- {name: p, devices: {paths: [/dev/sd?]}}\n")
	unfinished := func(d *Inspected) { d.Unfinished = true }
	for _, c := range []struct {
		name  string
		disks []Inspected
		state State
		want  string
	}{
		{"a physical volume", []Inspected{a("/dev/sda", pv("u"), unfinished)}, Free, "holds nothing but what an interrupted command of LVM left"},
		{"a part of one", []Inspected{a("/dev/sda", with(signature.Signature{}), unfinished)}, Free, "holds nothing but what an interrupted command of LVM left"},
		{"in use", []Inspected{a("/dev/sda", pv("u"), unfinished, heldBy("md0", MD))}, Refused, "in use by md0"},
		{"not named", []Inspected{a("/dev/vda", pv("u"), unfinished)}, Refused, "matches no pool's devices.paths"},
	} {
		got := Assess(Survey{Disks: c.disks, Pools: named})[0]
		if got.State != c.state || got.Reason() != c.want {
			t.Errorf("%s: %s: %s; want %s: %s", c.name, got.State, got.Reason(), c.state, c.want)
		}
	}
	twice := Assess(Survey{Disks: []Inspected{a("/dev/sda", pv("u"), unfinished), a("/dev/sdb", pv("u"), unfinished)}, Pools: named})
	if twice[0].State == Free || twice[1].State == Free {
		t.Errorf("copies of one physical volume are %+v", twice)
	}
}

func TestTheFirstPoolThatTakesADiskHasIt(t *testing.T) {
	both := pools(t, `
- {name: ssd, devices: {paths: [/dev/sd*], rotational: false}}
- {name: hdd, devices: {paths: [/dev/sd*]}}
- {name: big, devices: {paths: [/dev/sd*], minSize: 1Ti}}
`)
	spins := func(d *Inspected) { d.Rotational = true }
	got := Assess(Survey{Disks: []Inspected{a("/dev/sda"), a("/dev/sdb", spins)}, Pools: both})
	want := []Verdict{
		{State: Free, Pool: "ssd", Reasons: []string{"pool ssd comes before hdd in the configuration"}},
		{State: Free, Pool: "hdd"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got = Assess(Survey{Disks: []Inspected{a("/dev/sdb", spins)}, Pools: []config.Pool{both[0], both[2]}})
	want = []Verdict{{State: Refused, Pool: "ssd", Reasons: []string{
		"rotational, and pool ssd takes only disks that are not", "smaller than minSize 1 TiB of pool big",
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPartitionsStandOrFallWithTheirDisk(t *testing.T) {
	named := pools(t, "- {name: p, devices: {paths: [/dev/sda1]}}\n")
	part := a("/dev/sda1", func(d *Inspected) { d.Kind, d.Parent = Partition, "/dev/sda" })
	gpt := with(signature.Signature{PartitionTable: "gpt"})
	for _, c := range []struct {
		name, want string
		disk       Inspected
	}{
		{"its own", "", a("/dev/sda", gpt)},
		{"of an array's member", "on disk /dev/sda, in use by md0", a("/dev/sda", gpt, heldBy("md0", MD))},
		{"of a multipath path", "on disk /dev/sda, a path of multipath device mpatha", a("/dev/sda", gpt, heldBy("mpatha", Multipath))},
		{"of a disk that is mounted whole", "on disk /dev/sda, mounted at /srv", a("/dev/sda", gpt, func(d *Inspected) { d.Mounts = []string{"/srv"} })},
		{"of a disk that is something else, too", "on disk /dev/sda, holds an LVM physical volume", a("/dev/sda", pv("u"))},
	} {
		got := Assess(Survey{Disks: []Inspected{c.disk, part}, Pools: named})[1]
		if got.Reason() != c.want || (got.State == Free) != (c.want == "") {
			t.Errorf("%s: %s: %s; want %q", c.name, got.State, got.Reason(), c.want)
		}
	}
}

func TestOneDiskOnTwoPathsIsTakenByNeither(t *testing.T) {
	named := pools(t, "- {name: p, devices: {paths: [/dev/sd?]}}\n")
	wwn := func(d *Inspected) { d.WWN = "naa.5000" }
	got := Assess(Survey{Disks: []Inspected{a("/dev/sda", wwn), a("/dev/sdb", wwn), a("/dev/sdc")}, Pools: named})
	if got[0].Reason() != "has the same WWN as /dev/sdb: one disk on two paths, without multipath" || got[1].State != Refused || got[2].State != Free {
		t.Errorf("got %+v", got)
	}
}

// TestFreeIsOnlyWhatIsNamedBlankAndUnheld checks the rule itself on disks made up at random.
func TestFreeIsOnlyWhatIsNamedBlankAndUnheld(t *testing.T) {
	named := pools(t, "- {name: p, devices: {paths: [/dev/sd?], exclude: [sdc], minSize: 1Gi}}\n- {name: q, volumeGroup: vg}\n")
	random := rand.New(rand.NewPCG(1, 2))
	flip := func() bool { return random.IntN(6) == 0 }
	signatures := []signature.Signature{
		{Type: "ext4", Usage: "filesystem"}, {PartitionTable: "gpt"}, {Ambivalent: true}, {DataAt: 7}, {Type: physicalVolume, UUID: "u"}, {},
	}
	free := 0
	for range 20000 {
		var disks []Inspected
		for _, path := range []string{"/dev/sda", "/dev/sdb", "/dev/sdc", "/dev/vda"} {
			d := a(path)
			for _, change := range []func(){
				func() { d.Signature = signatures[random.IntN(len(signatures))] },
				func() { d.Err, d.Signature = ErrSilent, signature.Signature{} },
				func() { d.Err, d.Signature = signature.ErrUnreadable, signature.Signature{} },
				func() { d.Holders = []Holder{{"h", []Kind{LV, MD, Multipath, Mapped, Crypt, ""}[random.IntN(6)]}} },
				func() { d.Mounts = []string{"/m"} },
				func() { d.Swap = true },
				func() { d.Partitions = []string{path + "1"} },
				func() { d.ReadOnly = true },
				func() { d.Held = true },
				func() { d.Kind = Mapped },
				func() { d.Size = lvm.MiB },
			} {
				if flip() {
					change()
				}
			}
			disks = append(disks, d)
		}
		s := Survey{Disks: disks, Pools: named}
		if flip() {
			s.Report.VolumeGroups = []lvm.VolumeGroup{vg("vg", "V", "/dev/sda")}
		}
		for i, v := range Assess(s) {
			d := disks[i]
			may := d.Err == nil && d.Signature.Blank && len(d.Holders) == 0 && len(d.Mounts) == 0 && !d.Swap && len(d.Partitions) == 0 &&
				!d.ReadOnly && !d.Held && d.Kind == Whole && d.Size >= lvm.GiB && (d.Path == "/dev/sda" || d.Path == "/dev/sdb")
			if v.State == Free && !may || v.State == Refused && may || v.State == Refused && v.Reason() == "" || strings.Contains(v.Reason(), "%!") {
				t.Fatalf("%+v was decided as %+v", d, v)
			}
			if v.State == Free {
				free++
			}
		}
	}
	if free == 0 {
		t.Error("no disk was ever free")
	}
}

func TestPoolsChooseNodesByLabels(t *testing.T) {
	chosen := pools(t, "- {name: fast, devices: {paths: [/dev/sd*]}, nodes: {disktype: nvme}}\n")
	existing := lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg("loam-fast", "ours", "/dev/sda")}}
	for _, c := range []struct {
		name   string
		labels map[string]string
		state  State
		reason string
	}{
		{"no Kubernetes", nil, Free, ""},
		{"labels not known, or none", map[string]string{}, Refused, "pool fast takes disks of nodes with the labels disktype=nvme, and this node lacks them"},
		{"another value", map[string]string{"disktype": "hdd"}, Refused, "pool fast takes disks of nodes with the labels disktype=nvme, and this node lacks them"},
		{"that label", map[string]string{"disktype": "nvme", "zone": "a"}, Free, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Survey{Disks: []Inspected{a("/dev/sda", pv("pv of /dev/sda")), a("/dev/sdb")}, Pools: chosen, Report: existing, Labels: c.labels}
			verdicts := Assess(s)
			if verdicts[0].State != Taken {
				t.Errorf("a disk of the pool is %+v", verdicts[0])
			}
			if v := verdicts[1]; v.State != c.state || v.Reason() != c.reason {
				t.Errorf("a blank disk is %v, %q; want %v, %q", v.State, v.Reason(), c.state, c.reason)
			}
		})
	}
}
