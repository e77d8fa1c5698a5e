package lvm_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// traced is LVM under strace, which kills it at a cut, if there is one.
func traced(t *testing.T, devices []string, at *lvmtest.Cut) (l *lvm.LVM, trace func() string) {
	t.Helper()
	binary, trace := lvmtest.Program{At: at}.Make(t)
	l = lvm.New(lvm.Options{Binary: binary, ConfigDir: filepath.Join(filepath.Dir(binary), "conf")})
	l.SetDevices(devices)
	return l, trace
}

// interruptions are the changes that are killed, again and again on the same group: ready makes sure that there is something
// for the next one to change.
var interruptions = []struct {
	name  string
	ready func(*lvm.LVM, lvm.VolumeGroup) error
	do    func(*lvm.LVM, lvm.VolumeGroup) error
	long  bool
}{
	{"create", removeNew, func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "new", Size: 8 * lvm.MiB})
	}, true},
	{"snapshot", removeNew, func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "new", Pool: "pool"})
	}, true},
	{"clone", removeNew, func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.CreateSnapshot(lvm.CreateSnapshot{VG: vg, Origin: "a", Name: "new", Pool: "pool", Writable: true})
	}, false},
	{"remove", makeDoomed, func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Remove(vg, "doomed") }, true},
	{"extend pool", asItIs, func(l *lvm.LVM, g lvm.VolumeGroup) error {
		pool, _ := g.LV("pool")
		return l.ExtendPool(lvm.ExtendPool{VG: vg, Name: "pool", Size: pool.Size + 4*lvm.MiB, MetadataSize: pool.MetadataSize + 4*lvm.MiB})
	}, true},
	{"extend", asItIs, grow("a"), true},
	{"extend inactive", func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Deactivate(vg, "a") }, grow("a"), true},
	{"extend thick", asItIs, grow("thick"), true},
	{"create thick", removeNew, func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.CreateThick(lvm.CreateThick{VG: vg, Name: "new", Size: 8 * lvm.MiB})
	}, true},
	{"remove thick", makeThick, func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Remove(vg, "thick") }, true},
	{"rename", asItIs, func(l *lvm.LVM, g lvm.VolumeGroup) error {
		if _, there := g.LV("doomed"); !there {
			return l.Rename(vg, "other", "doomed")
		}
		return l.Rename(vg, "doomed", "other")
	}, true},
	{"tags", func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a"}, Remove: []string{"t"}})
	}, func(l *lvm.LVM, _ lvm.VolumeGroup) error {
		return l.ChangeTags(lvm.ChangeTags{VG: vg, Names: []string{"a"}, Add: []string{"t"}})
	}, true},
	{"activate", func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Deactivate(vg, "doomed", "thick") },
		func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Activate(vg, "doomed", "thick") }, true},
	{"deactivate", func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Activate(vg, "doomed", "thick") },
		func(l *lvm.LVM, _ lvm.VolumeGroup) error { return l.Deactivate(vg, "doomed", "thick") }, true},
}

func asItIs(*lvm.LVM, lvm.VolumeGroup) error { return nil }

func removeNew(l *lvm.LVM, g lvm.VolumeGroup) error {
	if _, there := g.LV("new"); !there {
		return nil
	}
	return l.Remove(vg, "new")
}

func makeDoomed(l *lvm.LVM, g lvm.VolumeGroup) error {
	if _, there := g.LV("doomed"); there {
		return nil
	}
	return l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "doomed", Size: 8 * lvm.MiB})
}

func makeThick(l *lvm.LVM, g lvm.VolumeGroup) error {
	if _, there := g.LV("thick"); there {
		return nil
	}
	return l.CreateThick(lvm.CreateThick{VG: vg, Name: "thick", Size: 8 * lvm.MiB})
}

func grow(name string) func(*lvm.LVM, lvm.VolumeGroup) error {
	return func(l *lvm.LVM, g lvm.VolumeGroup) error {
		lv, _ := g.LV(name)
		return l.Extend(vg, name, lv.Size+4*lvm.MiB)
	}
}

func TestKilledCommandsAreHealed(t *testing.T) {
	lvmtest.RequireDisks(t, lvmtest.SuiteDisks)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("strace is missing: run it in the guest with --package=strace (%v)", err)
	}
	for _, op := range interruptions {
		t.Run(op.name, func(t *testing.T) {
			if op.long {
				lvmtest.Long(t)
			}
			r := prepare(t)
			l, trace := traced(t, r.devices, nil)
			r.must(op.ready(r.l, r.now()))
			r.must(op.do(l, r.now()))
			all := lvmtest.Cuts(trace())
			if len(all) < 2 {
				t.Fatalf("only %d calls change something", len(all))
			}
			if !lvmtest.IsLong() {
				all = lvmtest.FirstOfEach(all)
			}
			for _, at := range all {
				if err := op.ready(r.l, r.now()); err != nil {
					t.Errorf("the next change: %v", err)
				}
				r.killedAt(at, op.do)
			}
		})
	}
}

func (r *machine) now() lvm.VolumeGroup {
	r.t.Helper()
	g, _ := r.report().VolumeGroup(vg)
	return g
}

// prepare makes a pool with volumes.
func prepare(t *testing.T) *machine {
	t.Helper()
	t.Cleanup(func() { os.RemoveAll("/dev/" + vg) }) // where a killed command may leave links
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	r.smallPool()
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "doomed", Size: 8 * lvm.MiB}))
	r.must(r.l.CreateThick(lvm.CreateThick{VG: vg, Name: "thick", Size: 8 * lvm.MiB}))
	r.write("a", 0, 4*lvm.MiB)
	return r
}

// killedAt interrupts a change, heals, and checks that all is as if it had been made or had not.
func (r *machine) killedAt(at lvmtest.Cut, do func(*lvm.LVM, lvm.VolumeGroup) error) {
	l, _ := traced(r.t, r.devices, &at)
	err := do(l, r.now())
	var e *lvm.CommandError
	if !errors.As(err, &e) || e.Signal != syscall.SIGKILL {
		r.t.Logf("%s %d (%s): not killed: %v", at.Call, at.N, at.What, err)
	}
	before := r.ailments()
	healed, err := r.l.Heal(context.Background(), vg)
	if err == nil {
		err = r.activate()
	}
	after := r.ailments()
	r.t.Logf("%s %d (%s): %s; healed %q, error %v", at.Call, at.N, at.What, before, healed, err)
	if after != "" || err != nil {
		r.t.Errorf("killed before %s %d (%s): left %s, error %v", at.Call, at.N, at.What, after, err)
	}
	if got := string(r.read("a", 4*lvm.MiB-4, 4)); got != "aaaa" {
		r.t.Errorf("killed before %s %d: a neighbour's contents became %q", at.Call, at.N, got)
	}
}

// activate activates what a reboot would leave inactive, as the agent does.
func (r *machine) activate() error {
	g, _ := r.report().VolumeGroup(vg)
	var names []string
	for _, lv := range g.LVs {
		if !lv.Active && !lv.Hidden && !lv.SkipActive {
			names = append(names, lv.Name)
		}
	}
	return r.l.Activate(vg, names...)
}

// ailments are what is not as on a healthy machine.
func (r *machine) ailments() string {
	var all []string
	report, err := r.l.Read()
	if err != nil {
		return "cannot be read natively: " + err.Error()
	}
	g, _ := report.VolumeGroup(vg)
	for _, lv := range g.LVs {
		switch {
		case lv.Suspended:
			all = append(all, lv.Name+" is suspended")
		case lv.Stale:
			all = append(all, lv.Name+" is stale")
		case lv.Health != lvm.Healthy:
			all = append(all, lv.Name+" is "+string(lv.Health))
		case lv.Pending:
			all = append(all, lv.Name+" has pending messages")
		case !lv.Active && !lv.Hidden && !lv.SkipActive:
			all = append(all, lv.Name+" is inactive")
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
