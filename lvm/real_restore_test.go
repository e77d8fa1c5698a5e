package lvm_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// zero overwrites the beginning of a device.
func (r *machine) zero(device string, size lvm.Bytes) {
	r.t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY|os.O_SYNC, 0)
	r.must(err)
	defer f.Close()
	_, err = f.Write(make([]byte, size))
	r.must(err)
}

// What PlanRestore says to do is done, as a person would, and gives the group back with what is on its volumes.
func TestDamagedMetadataAreRestoredAsPlanned(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(r *machine)
		steps  int
	}{
		{"nothing", func(*machine) {}, 0},
		{"label of one disk", func(r *machine) { r.zero(r.devices[0], 4*lvm.KiB) }, 2},
		{"metadata of one disk", func(r *machine) {
			f, err := os.OpenFile(r.devices[1], os.O_WRONLY|os.O_SYNC, 0)
			r.must(err)
			_, err = f.WriteAt([]byte("somebody's bytes"), 4096)
			r.must(errors.Join(err, f.Close()))
		}, 2},
		{"all of both disks", func(r *machine) { r.zero(r.devices[0], lvm.MiB); r.zero(r.devices[1], lvm.MiB) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name != "metadata of one disk" {
				lvmtest.Long(t)
			}
			r := start(t, lvm.Options{BackupDir: t.TempDir()})
			r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:2]}))
			r.must(r.l.CreatePool(lvm.CreatePool{VG: vg, Name: "pool", Size: 64 * lvm.MiB}))
			r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 40 * lvm.MiB}))
			r.write("a", 0, 4*lvm.MiB)
			before, _ := r.report().VolumeGroup(vg)
			r.must(r.l.BackUp(vg, before.Seqno))
			c.damage(r)
			plan, err := r.l.PlanRestore(vg, r.devices)
			r.must(err)
			if len(plan.Devices) != 2 || len(plan.Commands) != c.steps {
				t.Fatalf("%+v; want %d steps", plan, c.steps)
			}
			for _, command := range plan.Commands {
				out, err := exec.Command("sh", "-c", command).CombinedOutput()
				t.Logf("%s\n%s", command, out)
				r.must(err)
			}
			after, _ := r.report().VolumeGroup(vg)
			if lv, ok := after.LV("a"); !ok || lv.Size != 40*lvm.MiB || after.UUID != before.UUID || len(after.PVs) != 2 {
				t.Errorf("the group is %+v", after)
			}
			if got := string(r.read("a", 4*lvm.MiB-4, 4)); got != "aaaa" {
				t.Errorf("the volume holds %q", got)
			}
			if _, err := r.l.Read(); err != nil {
				t.Errorf("not as on a healthy machine: %v", err)
			}
			r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "next", Size: 4 * lvm.MiB}))
		})
	}
}

func TestBackupsAreBoundedAndFollowChangesOfOthers(t *testing.T) {
	lvmtest.Long(t)
	dir := t.TempDir()
	r := start(t, lvm.Options{BackupDir: dir})
	if _, err := r.l.PlanRestore(vg, r.devices); !errors.Is(err, lvm.ErrNoBackup) {
		t.Errorf("without a backup: %v", err)
	}
	r.smallPool()
	for i := range 13 {
		if i == 5 {
			r.lvm("lvchange", "--addtag", "by-hand", vg+"/a")
		} else {
			r.must(r.l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a"}, Add: []string{"t" + string(rune('a'+i))}}))
		}
		now := r.now()
		r.must(r.l.BackUp(vg, now.Seqno))
		kept, err := r.l.Backups(vg)
		r.must(err)
		if kept[0].Change != now.Seqno || len(kept) > 11 || i == 12 && len(kept) != 10 {
			t.Fatalf("after %d changes: %d kept, the newest of %d, the group is at %d", i+1, len(kept), kept[0].Change, now.Seqno)
		}
		files, err := filepath.Glob(dir + "/*")
		r.must(err)
		for _, f := range files { // a minute passes
			r.must(os.Chtimes(f, time.Time{}, time.Now().Add(-2*time.Minute)))
		}
	}
}
