package lvm_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// pvmove leaves the spare metadata's device, which is then too small when the metadata grow, and which LVM never reloads.
func TestActiveSpareIsNothingToHeal(t *testing.T) {
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	r.smallPool()
	report, err := r.l.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	group, _ := report.VolumeGroup(vg)
	spare, ok := group.LV("lvol0_pmspare")
	if !ok {
		t.Fatal("the group has no spare")
	}
	const name = "loam--real-lvol0_pmspare"
	uuid := "LVM-" + strings.ReplaceAll(group.UUID+spare.UUID, "-", "")
	if out, err := exec.Command("dmsetup", "--noudevsync", "create", name, "--uuid", uuid, "--table", "0 8 zero").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("dmsetup", "--noudevsync", "remove", name).Run() })
	if lv := r.lv("lvol0_pmspare"); !lv.Active || lv.Stale {
		t.Errorf("the spare is %+v; want it active, and not stale", lv)
	}
	if healed, err := r.l.Heal(t.Context(), vg); err != nil || len(healed) > 0 {
		t.Errorf("healed %+v, %v", healed, err)
	}
}
