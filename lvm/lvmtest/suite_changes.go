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

func manyCreateAtOnce(s *suite) {
	s.makePool()
	const n = 20
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
