package module

import (
	"slices"
	"testing"
)

const dep = `kernel/drivers/md/dm-mod.ko:
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-bio-prison.ko:
kernel/drivers/md/persistent-data/dm-persistent-data.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-thin-pool.ko: kernel/drivers/md/persistent-data/dm-persistent-data.ko kernel/drivers/md/dm-bio-prison.ko kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz
kernel/fs/netfs/netfs.ko.xz:
`

const builtin = `kernel/fs/ext4/ext4.ko
kernel/lib/crc_t10dif.ko
`

func TestLoadOrderPutsNeedsFirst(t *testing.T) {
	const md = "kernel/drivers/md/"
	thin := []string{md + "dm-mod.ko", md + "dm-bufio.ko", md + "dm-bio-prison.ko",
		md + "persistent-data/dm-persistent-data.ko", md + "dm-thin-pool.ko"}
	for _, test := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"no needs", []string{"dm-mod"}, []string{md + "dm-mod.ko"}},
		{"the deepest need first", []string{"dm-thin-pool"}, thin},
		{"none twice", []string{"dm-mod", "dm-bufio", "dm-thin-pool", "dm-mod"},
			[]string{md + "dm-mod.ko", md + "dm-bufio.ko", md + "dm-bio-prison.ko",
				md + "persistent-data/dm-persistent-data.ko", md + "dm-thin-pool.ko"}},
		{"underscores are hyphens", []string{"dm_thin_pool"}, thin},
		{"compressed", []string{"9pnet"}, []string{"kernel/fs/netfs/netfs.ko.xz", "kernel/net/9p/9pnet.ko.xz"}},
		{"built in", []string{"ext4", "crc-t10dif"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := LoadOrder(dep, builtin, test.names)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("LoadOrder(%q) = %q, %v; want %q", test.names, got, err, test.want)
			}
		})
	}
}

func TestLoadOrderRefusesAModuleThatTheKernelLacks(t *testing.T) {
	if order, err := LoadOrder(dep, builtin, []string{"dm-mod", "zfs"}); err == nil {
		t.Errorf("LoadOrder gave %q for a module that is in neither list", order)
	}
}
