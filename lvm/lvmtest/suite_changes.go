package lvmtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/loam-storage/loam/lvm"
)

func manyAreActivatedAndDeactivated(s *suite) {
	s.makePool()
	s.makeThin("a", "b", "c")
	s.must(s.l.Deactivate(groupName, "a", "b", "c", poolName))
	s.must(s.l.Deactivate(groupName, "a")) // inactive already
	for _, n := range []string{"a", "b", "c", poolName} {
		if s.lv(n).Active {
			s.Errorf("%s is still active", n)
		}
	}
	s.must(s.l.Activate(groupName, "a", "b"))
	s.must(s.l.Activate(groupName, "a")) // active already
	if !s.lv("a").Active || !s.lv("b").Active || s.lv("c").Active {
		s.Error("expected a and b active, c not")
	}
	if err := s.l.Activate(groupName, "c", "no-such"); err == nil || !s.lv("c").Active {
		s.Errorf("error %v, c active %v: expected an error, and c active", err, s.lv("c").Active)
	}
}

func manyAreRemoved(s *suite) {
	s.makePool()
	s.makeThin("a", "b", "c")
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "thick", Size: 12 * lvm.MiB}))
	s.makeSnapshot("a", "snap", false)
	before := s.vg()
	s.must(s.l.Deactivate(groupName, "b"))
	s.must(s.l.Remove(groupName, "a", "b", "snap", "thick"))
	after := s.vg()
	if _, ok := after.LV("c"); !ok || len(after.LVs) != len(before.LVs)-4 || after.Free != before.Free+12*lvm.MiB {
		s.Errorf("left: %+v", after)
	}
}

func removeOfUnknownRemovesTheOthers(s *suite) {
	s.makePool()
	s.makeThin("a")
	err := s.l.Remove(groupName, "no-such", "a")
	if e := new(lvm.CommandError); !errors.As(err, &e) || e.ExitCode != 5 {
		s.Errorf("the error is %v, expected a CommandError with status 5", err)
	}
	if _, ok := s.vg().LV("a"); ok {
		s.Error("the volume that exists was not removed")
	}
}

func volumesAreRenamed(s *suite) {
	s.makePool()
	s.makeThin("a", "b")
	s.makeSnapshot("a", "snap", false)
	before := s.lv("a")
	s.must(s.l.Rename(groupName, "a", "other-name"))
	after := s.lv("other-name")
	if after.UUID != before.UUID || !after.Active || s.lv("snap").Origin != "other-name" {
		s.Errorf("%+v became %+v", before, after)
	}
	if d := s.device("other-name"); d.UUID != before.UUID {
		s.Errorf("its device is %+v", d)
	}
	if _, err := s.l.Device(groupName, "a"); !errors.Is(err, lvm.ErrNoDevice) {
		s.Errorf("the old name's device: error %v, expected ErrNoDevice", err)
	}
	s.refused(byLVM, attempts{
		"a name that is taken":       func() error { return s.l.Rename(groupName, "b", "other-name") },
		"a volume that is not there": func() error { return s.l.Rename(groupName, "a", "c") },
	})
}

// everyCharacter holds all that a tag may hold.
const everyCharacter = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-/=!:&#"

func tagsAreChanged(s *suite) {
	s.makePool()
	s.makeThin("a", "b")
	longest := strings.Repeat("x", 1024)
	s.must(s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"a", "b"}, Add: []string{everyCharacter, "one", longest}}))
	s.must(s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"a"}, Add: []string{"two", "one"}, Remove: []string{longest, "no-such"}}))
	if got, want := sorted(s.lv("a").Tags), sorted([]string{everyCharacter, "one", "two"}); !slices.Equal(got, want) {
		s.Errorf("tags of a are %q, expected %q", got, want)
	}
	if got := sorted(s.lv("b").Tags); !slices.Equal(got, sorted([]string{everyCharacter, "one", longest})) {
		s.Errorf("tags of b are %q", got)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// noVolumesIsNoOperation: LVM would take a group's name alone for all its volumes.
func noVolumesIsNoOperation(s *suite) {
	s.makePool()
	s.makeThin("a")
	before := s.report()
	s.must(s.l.Remove(groupName))
	s.must(s.l.Deactivate(groupName))
	s.must(s.l.Activate(groupName))
	s.must(s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Add: []string{"t"}}))
	s.must(s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"a"}}))
	if after := s.report(); !same(before, after) {
		s.Errorf("the report was\n%+v\nand is\n%+v", before, after)
	}
}

// badNames must never reach a command line.
var badNames = []string{
	"", ".", "..", "-a", "--yes", "a/b", "a b", "a\x00b", "a\nb", "@tag", "é", "a;b", "$(a)", "snapshot", "snapshot-1", "pvmove0",
	"a_tdata", "a_tmeta_b", "a_pmspare", strings.Repeat("a", 128), "a" + strings.Repeat("-", 60),
}

func impossibleNamesAreRefused(s *suite) {
	s.makePool()
	s.makeThin("a")
	all := attempts{}
	for _, n := range badNames {
		for what, act := range s.naming(n) {
			all[fmt.Sprintf("%s %q", what, n)] = act
		}
	}
	for _, tag := range []string{"", "-a", "a b", "a,b", "@a", "ä", "a'b", strings.Repeat("a", 1025)} {
		all[fmt.Sprintf("tag %q", tag)] = func() error {
			return s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"a"}, Add: []string{tag}})
		}
	}
	for _, device := range []string{"", "-d", "sdb", "/etc/passwd", "/dev/../etc/passwd", "/dev/a,/dev/b", "/dev/a b", "/dev/a\n"} {
		all[fmt.Sprintf("device %q", device)] = func() error { return s.l.ExtendGroup(groupName, 0, device) }
	}
	s.refused(byName, all)
}

// naming is every method with a volume's name.
func (s *suite) naming(n string) attempts {
	return attempts{
		"CreatePool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: n, Size: lvm.MiB}) },
		"CreateThin": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: n, Size: lvm.MiB})
		},
		"CreateThick":    func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: n, Size: lvm.MiB}) },
		"CreateSnapshot": func() error { return s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: "a", Name: n}) },
		"Extend":         func() error { return s.l.Extend(groupName, n, lvm.GiB) },
		"Remove":         func() error { return s.l.Remove(groupName, n) },
		"Activate":       func() error { return s.l.Activate(groupName, n) },
		"Deactivate":     func() error { return s.l.Deactivate(groupName, n) },
		"Rename":         func() error { return s.l.Rename(groupName, "a", n) },
		"ChangeTags": func() error {
			return s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{n}, Add: []string{"t"}})
		},
		"Device": func() error { _, err := s.l.Device(groupName, n); return err },
	}
}

func impossibleSizesAreRefused(s *suite) {
	s.makePool()
	s.makeThin("a")
	all := attempts{
		"-1 stripes": func() error {
			return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "b", Size: lvm.MiB, Stripes: -1})
		},
	}
	for _, size := range []lvm.Bytes{0, -1, 1<<63 - 1} {
		for what, act := range s.sizing(size) {
			all[fmt.Sprintf("%s of %d bytes", what, int64(size))] = act
		}
	}
	s.refused(bySize, all)
}

// sizing is every method with a size.
func (s *suite) sizing(size lvm.Bytes) attempts {
	return attempts{
		"CreatePool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: "b", Size: size}) },
		"CreateThin": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: "b", Size: size})
		},
		"CreateThick": func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "b", Size: size}) },
		"Extend":      func() error { return s.l.Extend(groupName, "a", size) },
		"ExtendPool":  func() error { return s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, Size: size}) },
	}
}

// longestNamesWork: what the checks let through, LVM takes.
func longestNamesWork(s *suite) {
	s.makeGroup(1)
	longPool := strings.Repeat("p", 124-len(groupName)-6)
	s.must(s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: longPool, Size: 40 * lvm.MiB}))
	dashed := strings.Repeat("v-", 38)
	dashed += strings.Repeat("v", 127-len(groupName)-2-len(dashed)-38)
	for _, n := range []string{strings.Repeat("v", 124-len(groupName)), dashed} {
		s.must(s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: longPool, Name: n, Size: 40 * lvm.MiB}))
		if d, lv := s.device(n), s.lv(n); d.UUID != lv.UUID {
			s.Errorf("the device of %s is %+v", n, d)
		}
	}
}

func unknownNamesAreErrors(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.refused(byLVM, attempts{
		"CreatePool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: "no-such", Name: "p", Size: lvm.MiB}) },
		"CreateThin": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: "no-such", Name: "b", Size: lvm.MiB})
		},
		"a pool that is a volume": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: "a", Name: "b", Size: lvm.MiB})
		},
		"CreateThick": func() error { return s.l.CreateThick(lvm.CreateThick{VG: "no-such", Name: "b", Size: lvm.MiB}) },
		"CreateSnapshot": func() error {
			return s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: "no-such", Name: "b", Pool: poolName})
		},
		"ExtendPool": func() error { return s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: "no-such", Size: lvm.MiB}) },
		"Extend":     func() error { return s.l.Extend(groupName, "no-such", lvm.MiB) },
		"Remove":     func() error { return s.l.Remove(groupName, "no-such") },
		"Activate":   func() error { return s.l.Activate(groupName, "no-such") },
		"Deactivate": func() error { return s.l.Deactivate("no-such", "a") },
		"Rename":     func() error { return s.l.Rename(groupName, "no-such", "b") },
		"ChangeTags": func() error {
			return s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"no-such"}, Add: []string{"t"}})
		},
	})
}

func noRoomChangesNothing(s *suite) {
	s.makePool()
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "c", Size: s.vg().Free}))
	s.refused(byLVM, attempts{
		"a thick volume":          func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: lvm.MiB}) },
		"a pool":                  func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: "b", Size: lvm.MiB}) },
		"a larger thick volume":   func() error { return s.l.Extend(groupName, "c", lvm.GiB) },
		"more than any group has": func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: lvm.PiB}) },
	})
	s.makeThin("thin") // thin volumes need no extents of the group
}

func takenNameChangesNothing(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.refused(byLVM, attempts{
		"a thin volume": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: "a", Size: lvm.GiB})
		},
		"a thick volume": func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: lvm.MiB}) },
		"a snapshot": func() error {
			return s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: "a", Name: "a", Pool: poolName})
		},
		"a pool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: poolName, Size: lvm.MiB}) },
	})
}

func deviceOfInactiveVolumeIsErrNoDevice(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.Deactivate(groupName, "a"))
	for _, name := range [][2]string{{groupName, "a"}, {groupName, "no-such"}, {"no-such", "a"}} {
		if _, err := s.l.Device(name[0], name[1]); !errors.Is(err, lvm.ErrNoDevice) {
			s.Errorf("%v: the error is %v, expected ErrNoDevice", name, err)
		}
	}
}

func manyCreateAtOnce(s *suite) {
	s.makePool()
	const n = 50
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			name := fmt.Sprintf("v%02d", i/2) // each name twice
			errs[i] = s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: name, Size: 40 * lvm.MiB})
		})
	}
	wg.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	thin := slices.DeleteFunc(s.vg().LVs, func(lv lvm.LogicalVolume) bool { return lv.Segment != lvm.Thin })
	if failed != n/2 || len(thin) != n/2 {
		s.Errorf("of %d creates of %d names %d failed and %d volumes exist; first error: %v", n, n/2, failed, len(thin), errors.Join(errs...))
	}
	if p := s.lv(poolName); p.TransactionID != n/2 || p.Health != lvm.Healthy {
		s.Errorf("the pool: %+v", p)
	}
}
