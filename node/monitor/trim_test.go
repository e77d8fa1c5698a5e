package monitor

import (
	"slices"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

func TestFileSystemsAreTrimmedDailyAndWhenSpaceIsShort(t *testing.T) {
	thin := func(name, fs string, open bool) pool.Volume {
		return pool.Volume{LV: lvm.LogicalVolume{Name: name, Segment: lvm.Thin, Open: open}, Record: volume.Record{FS: fs}}
	}
	thick := thin("thick", "ext4", true)
	thick.LV.Segment = lvm.Linear
	volumes := []pool.Volume{thin("a", "ext4", true), thin("block", "", true), thin("unused", "xfs", false), thick}
	begin := time.Now()
	last := map[string]trimmed{}
	for _, step := range []struct {
		after time.Duration
		short bool
		want  []string
	}{
		{0, false, nil}, // first seen
		{time.Hour, false, nil},
		{time.Hour, true, []string{"a"}}, // for the first time
		{time.Hour + trimPause/2, true, nil},
		{time.Hour + trimPause, true, []string{"a"}},
		{trimInterval, false, nil},
		{time.Hour + trimPause + trimInterval, false, []string{"a"}},
	} {
		var got []string
		for _, v := range due(volumes, last, step.short, begin.Add(step.after)) {
			got = append(got, v.LV.Name)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("after %v, short of space %v: %q, expected %q", step.after, step.short, got, step.want)
		}
	}
	if due(nil, last, false, begin); len(last) != 0 {
		t.Errorf("what is gone is remembered: %v", last)
	}
	if got := due(volumes, last, true, begin); len(got) != 1 {
		t.Errorf("never seen, and space is short: %v", got)
	}
}
