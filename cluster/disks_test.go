package cluster

import (
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

func TestADiskIsNamedByWhatGoesWithIt(t *testing.T) {
	const ids = "/dev/disk/by-id/"
	for _, c := range []struct {
		serial string
		links  []string
		want   string
		stays  bool
	}{
		{links: nil, want: "/dev/sdb"},
		{links: []string{"/dev/disk/by-path/pci-1", "/dev/sdb1"}, want: "/dev/sdb"},
		{links: []string{ids + "wwn-0x5", ids + "ata-DISK_S1", "/dev/disk/by-path/x"}, serial: "S1", want: ids + "ata-DISK_S1", stays: true},
		{links: []string{ids + "scsi-3", ids + "wwn-0x5"}, want: ids + "wwn-0x5", stays: true},
		{links: []string{ids + "*"}, want: "/dev/sdb"},
		{links: []string{ids + "lvm-pv-uuid-x", ids + "virtio-a"}, want: ids + "virtio-a", stays: true},
		{links: []string{ids + "nvme-X_S1_1", ids + "nvme-X_S1"}, serial: "S1", want: ids + "nvme-X_S1", stays: true},
	} {
		if got, stays := stablePath(admin.Disk{Path: "/dev/sdb", Serial: c.serial, Links: c.links}); got != c.want || stays != c.stays {
			t.Errorf("%v: %s, stays %v; want %s, %v", c.links, got, stays, c.want, c.stays)
		}
	}
}

func TestOnlyDisksThatNothingElseIsInTheWayOfAreUntaken(t *testing.T) {
	disks := []Disk{
		{"k1", admin.Disk{Path: "/dev/sda", State: admin.DiskTaken}},
		{"k1", admin.Disk{Path: "/dev/sdb", State: admin.DiskRefused, Reason: "holds an ext4 file system"}},
		{"k1", admin.Disk{Path: "/dev/loop0", Kind: "loop", State: admin.DiskRefused, Unnamed: true}},
		{"k1", admin.Disk{Path: "/dev/sd*", Kind: "disk", State: admin.DiskRefused, Unnamed: true}},
		{"k1", admin.Disk{Path: "/dev/sdc", Kind: "disk", Size: lvm.GiB, State: admin.DiskRefused, Unnamed: true}},
	}
	if got := Untaken(disks); len(got) != 1 || got[0].Path != "/dev/sdc" || got[0].Stays {
		t.Errorf("untaken: %+v; want /dev/sdc alone", got)
	}
}

func TestAPlanKeepsTheConfigurationAndAddsDisks(t *testing.T) {
	disk := func(path string) Named { return Named{Stable: path} }
	for name, c := range map[string]struct {
		config, pool string
		disks        []Named
		want         string
	}{
		"none yet":     {"", "fast", []Named{disk("/dev/a"), disk("/dev/a"), disk("/dev/b")}, "config:\n  pools:\n  - name: fast\n    devices:\n      paths:\n      - /dev/a\n      - /dev/b\n"},
		"empty":        {"pools: []", "fast", []Named{disk("/dev/a")}, "config:\n  pools:\n  - name: fast\n    devices:\n      paths:\n      - /dev/a\n"},
		"to a pool":    {"pools:\n- name: bulk\n  type: thick\n  devices: {paths: [/dev/x], minSize: 1Gi}\n- name: fast\n", "bulk", []Named{disk("/dev/a")}, "config:\n  pools:\n  - name: bulk\n    type: thick\n    devices:\n      paths:\n      - /dev/x\n      - /dev/a\n      minSize: 1Gi\n  - name: fast\n"},
		"another pool": {"pools:\n- name: bulk\n", "fast", []Named{disk("/dev/a")}, "config:\n  pools:\n  - name: bulk\n  - name: fast\n    devices:\n      paths:\n      - /dev/a\n"},
	} {
		if got, err := Plan(c.config, c.pool, c.disks); err != nil || got != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
	if _, err := Plan("pools: [", "fast", nil); err == nil || !strings.Contains(err.Error(), "the present configuration") {
		t.Errorf("a configuration that is none: %v; want an error", err)
	}
}
