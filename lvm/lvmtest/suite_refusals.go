package lvmtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// refusals are what must be refused, all in one group: as they change nothing, it is made once.
func refusals(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "b", Size: 12 * lvm.MiB}))
	for _, refusal := range []struct {
		name string
		test func(*suite)
	}{
		{"NoVolumesIsNoOperation", noVolumesIsNoOperation},
		{"ImpossibleNames", impossibleNamesAreRefused},
		{"ImpossibleSizes", impossibleSizesAreRefused},
		{"UnknownNames", unknownNamesAreErrors},
		{"TakenNames", takenNamesAreErrors},
		{"ExtendNeverShrinks", extendNeverShrinks},
		{"NoRoom", noRoomIsAnError},
		{"DeviceOfInactiveVolumeIsErrNoDevice", deviceOfInactiveVolumeIsErrNoDevice},
	} {
		s.Run(refusal.name, func(t *testing.T) { refusal.test(&suite{T: t, l: s.l, devices: s.devices}) })
	}
}

// noVolumesIsNoOperation: LVM would take a group's name alone for all its volumes.
func noVolumesIsNoOperation(s *suite) {
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
	all := attempts{
		"-1 stripes": func() error {
			return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "new", Size: lvm.MiB, Stripes: -1})
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
		"CreatePool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: "new", Size: size}) },
		"CreateThin": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: "new", Size: size})
		},
		"CreateThick": func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "new", Size: size}) },
		"Extend":      func() error { return s.l.Extend(groupName, "a", size) },
		"ExtendPool":  func() error { return s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, Size: size}) },
	}
}

func unknownNamesAreErrors(s *suite) {
	s.refused(byLVM, attempts{
		"CreatePool": func() error { return s.l.CreatePool(lvm.CreatePool{VG: "no-such", Name: "p", Size: lvm.MiB}) },
		"CreateThin": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: "no-such", Name: "new", Size: lvm.MiB})
		},
		"a pool that is a volume": func() error {
			return s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: "a", Name: "new", Size: lvm.MiB})
		},
		"CreateThick": func() error { return s.l.CreateThick(lvm.CreateThick{VG: "no-such", Name: "new", Size: lvm.MiB}) },
		"CreateSnapshot": func() error {
			return s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: "no-such", Name: "new", Pool: poolName})
		},
		"ExtendPool": func() error { return s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: "no-such", Size: lvm.MiB}) },
		"Extend":     func() error { return s.l.Extend(groupName, "no-such", lvm.MiB) },
		"Remove":     func() error { return s.l.Remove(groupName, "no-such") },
		"Activate":   func() error { return s.l.Activate(groupName, "no-such") },
		"Deactivate": func() error { return s.l.Deactivate("no-such", "a") },
		"Rename":     func() error { return s.l.Rename(groupName, "no-such", "new") },
		"ChangeTags": func() error {
			return s.l.ChangeTags(lvm.ChangeTags{VG: groupName, Names: []string{"no-such"}, Add: []string{"t"}})
		},
	})
}

func noRoomIsAnError(s *suite) {
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "c", Size: s.vg().Free}))
	s.refused(byLVM, attempts{
		"a thick volume":          func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "new", Size: lvm.MiB}) },
		"a pool":                  func() error { return s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: "new", Size: lvm.MiB}) },
		"a larger thick volume":   func() error { return s.l.Extend(groupName, "c", lvm.GiB) },
		"more than any group has": func() error { return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "new", Size: lvm.PiB}) },
	})
	s.makeThin("thin") // thin volumes need no extents of the group
}

func takenNamesAreErrors(s *suite) {
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
	s.must(s.l.Deactivate(groupName, "a"))
	for _, name := range [][2]string{{groupName, "a"}, {groupName, "no-such"}, {"no-such", "a"}} {
		if _, err := s.l.Device(name[0], name[1]); !errors.Is(err, lvm.ErrNoDevice) {
			s.Errorf("%v: the error is %v, expected ErrNoDevice", name, err)
		}
	}
}

func extendNeverShrinks(s *suite) {
	s.refused(byLVM, attempts{
		"a smaller size":       func() error { return s.l.Extend(groupName, "a", 20*lvm.MiB) },
		"the same size":        func() error { return s.l.Extend(groupName, "a", 40*lvm.MiB) },
		"a smaller thick size": func() error { return s.l.Extend(groupName, "b", 4*lvm.MiB) },
	})
}
