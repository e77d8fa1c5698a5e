package monitor

import (
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

func TestFailedFileSystemsAreOneConditionOfTheirPool(t *testing.T) {
	failed := func(name, fs, claim string) pool.Volume {
		return pool.Volume{Pool: "fast", LV: lvm.LogicalVolume{Name: name}, Record: volume.Record{FS: fs, Claim: claim}}
	}
	if got := assessFileSystems(nil); got != nil {
		t.Errorf("of none: %+v", got)
	}
	for _, c := range []struct {
		failed []pool.Volume
		parts  []string
	}{
		{[]pool.Volume{failed("pvc-1", "ext4", "shop/db")}, []string{"the ext4 of volume pvc-1 of claim shop/db has", "`e2fsck -f`"}},
		{[]pool.Volume{failed("pvc-1", "xfs", ""), failed("pvc-2", "ext4", "")}, []string{"the xfs of volume pvc-1 has", "those of 1 more", "`xfs_repair`"}},
	} {
		got := assessFileSystems(c.failed)
		if len(got) != 1 || got[0].Pool != "fast" || got[0].Kind != FileSystemFailed {
			t.Fatalf("of %d: %+v; want one condition of the pool", len(c.failed), got)
		}
		for _, part := range c.parts {
			if !strings.Contains(got[0].Message, part) {
				t.Errorf("of %d: %q; want %q in it", len(c.failed), got[0].Message, part)
			}
		}
	}
}
