package lvmtest

import (
	"errors"
	"slices"
	"time"

	"github.com/loam-storage/loam/lvm"
)

func poolIsMadeAsAsked(s *suite) {
	s.makeGroup(1)
	s.must(s.l.CreatePool(lvm.CreatePool{
		VG: groupName, Name: poolName, Size: 99 * lvm.MiB, MetadataSize: 8 * lvm.MiB, ChunkSize: 128 * lvm.KiB, Tags: []string{"x"},
	}))
	vg := s.vg()
	p, _ := vg.LV(poolName)
	if p.Segment != lvm.ThinPool || p.Size != 100*lvm.MiB || p.MetadataSize != 8*lvm.MiB || p.ChunkSize != 128*lvm.KiB {
		s.Errorf("unexpected: %+v", p)
	}
	if !p.ErrorWhenFull || !p.Active || p.Hidden || p.Mapped != 0 || p.Stripes != 1 || !p.HasTag("x") || p.Health != lvm.Healthy {
		s.Errorf("unexpected: %+v", p)
	}
	if p.MetadataUsed <= 0 || p.MetadataUsed > p.MetadataSize/2 {
		s.Errorf("an empty pool uses %v of %v metadata", p.MetadataUsed, p.MetadataSize)
	}
	for name, size := range map[string]lvm.Bytes{poolName + "_tdata": 100 * lvm.MiB, poolName + "_tmeta": 8 * lvm.MiB, "lvol0_pmspare": 8 * lvm.MiB} {
		if lv, ok := vg.LV(name); !ok || !lv.Hidden || lv.Size != size {
			s.Errorf("hidden volume %s: %+v, expected %v", name, lv, size)
		}
	}
	if used := vg.Size - vg.Free; used != 116*lvm.MiB {
		s.Errorf("the pool took %v, expected its data and twice its metadata", used)
	}
}

func poolIsStriped(s *suite) {
	s.makeGroup(2)
	s.must(s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: poolName, Size: 100 * lvm.MiB, Stripes: 2}))
	if p := s.lv(poolName); p.Stripes != 2 || p.Size != 104*lvm.MiB {
		s.Errorf("%d stripes, %v, expected 2 and 104 MiB, as each has whole extents", p.Stripes, p.Size)
	}
}

func poolGrows(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, Size: 119 * lvm.MiB}))
	s.must(s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, MetadataSize: 8 * lvm.MiB}))
	if p := s.lv(poolName); p.Size != 120*lvm.MiB || p.MetadataSize != 8*lvm.MiB {
		s.Errorf("data %v, metadata %v, expected 120 MiB and 8 MiB", p.Size, p.MetadataSize)
	}
	s.must(s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, Size: 140 * lvm.MiB, MetadataSize: 12 * lvm.MiB}))
	p, spare := s.lv(poolName), s.lv("lvol0_pmspare")
	if p.Size != 140*lvm.MiB || p.MetadataSize != 12*lvm.MiB || spare.Size != 12*lvm.MiB || !p.Active || !s.lv("a").Active {
		s.Errorf("after both at once: %+v, spare %v", p, spare.Size)
	}
	extend := func(data, metadata lvm.Bytes) func() error {
		return func() error {
			return s.l.ExtendPool(lvm.ExtendPool{VG: groupName, Name: poolName, Size: data, MetadataSize: metadata})
		}
	}
	s.refused(byLVM, attempts{
		"the same size again":         extend(140*lvm.MiB, 0),
		"a smaller size":              extend(40*lvm.MiB, 0),
		"more than there is":          extend(lvm.TiB, 0),
		"more metadata than there is": extend(0, 12*lvm.GiB),
	})
}

func poolIsRemovedWithItsVolumes(s *suite) {
	s.makePool()
	s.makeThin("a", "b")
	s.must(s.l.Remove(groupName, poolName))
	if vg := s.vg(); len(vg.LVs) != 0 || vg.Free != vg.Size {
		s.Errorf("left after the pool's removal: %+v", vg)
	}
}

func thinVolumeIsFreshAndActive(s *suite) {
	s.makePool()
	begin := time.Now().Add(-2 * time.Second)
	s.must(s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: "vol-a.b_c+d", Size: 41*lvm.MiB + 1, Tags: []string{"t=1"}}))
	lv, p := s.lv("vol-a.b_c+d"), s.lv(poolName)
	if lv.Segment != lvm.Thin || lv.Pool != poolName || lv.Origin != "" || lv.Size != 44*lvm.MiB || lv.Mapped != 0 || !lv.HasTag("t=1") {
		s.Errorf("unexpected: %+v", lv)
	}
	if !lv.Active || lv.Open || lv.ReadOnly || lv.SkipActive || lv.Hidden || lv.Suspended || lv.Health != lvm.Healthy {
		s.Errorf("unexpected: %+v", lv)
	}
	if lv.Created.Before(begin) || lv.Created.After(time.Now().Add(time.Second)) {
		s.Errorf("created %v, expected about %v", lv.Created, begin)
	}
	if p.Mapped != 0 || p.TransactionID != 1 || !p.Open {
		s.Errorf("its pool: %+v", p)
	}
	u, err := s.l.Usage(groupName, poolName)
	if s.must(err); u.Size != p.Size || u.Data != p.Mapped || u.MetadataSize != p.MetadataSize || u.Metadata == 0 || u.Metadata > p.MetadataSize || u.Health != p.Health {
		s.Errorf("its pool's usage: %+v, expected that of %+v", u, p)
	}
	if _, err := s.l.Usage(groupName, lv.Name); !errors.Is(err, lvm.ErrNoDevice) {
		s.Errorf("usage of what is no pool: %v, expected ErrNoDevice", err)
	}
	d := s.device("vol-a.b_c+d")
	if d.UUID != lv.UUID || d.Size != lv.Size || d.Mapped != 0 || d.OpenCount != 0 || d.Suspended || d.Path == "" || d.Major == 0 {
		s.Errorf("its device: %+v, expected UUID %s", d, lv.UUID)
	}
}

func thickVolumeIsMadeAsAsked(s *suite) {
	s.makeGroup(1)
	before := s.vg()
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: 9 * lvm.MiB, Tags: []string{"t"}}))
	after := s.vg()
	lv, _ := after.LV("a")
	if lv.Segment != lvm.Linear || lv.Size != 12*lvm.MiB || lv.Stripes != 1 || !lv.Active || lv.ReadOnly || lv.Pool != "" || lv.Mapped != 0 || !lv.HasTag("t") {
		s.Errorf("unexpected: %+v", lv)
	}
	if before.Free-after.Free != 12*lvm.MiB {
		s.Errorf("free went from %v to %v", before.Free, after.Free)
	}
	if d := s.device("a"); d.UUID != lv.UUID || d.Size != lv.Size || d.Mapped != 0 {
		s.Errorf("its device: %+v", d)
	}
}

func thickVolumeIsStriped(s *suite) {
	s.makeGroup(3)
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "a", Size: 10 * lvm.MiB, Stripes: 3}))
	if lv := s.lv("a"); lv.Segment != lvm.Striped || lv.Stripes != 3 || lv.Size != 12*lvm.MiB {
		s.Errorf("unexpected: %+v", lv)
	}
	s.must(s.l.Extend(groupName, "a", 13*lvm.MiB))
	if lv := s.lv("a"); lv.Stripes != 3 || lv.Size != 24*lvm.MiB {
		s.Errorf("extended: %+v", lv)
	}
	s.refused(byLVM, attempts{"more stripes than devices": func() error {
		return s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "b", Size: 16 * lvm.MiB, Stripes: 4})
	}})
}

func snapshotIsReadOnlyAndInactive(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: "a", Name: "snap", Pool: poolName, Tags: []string{"s"}}))
	lv := s.lv("snap")
	if lv.Segment != lvm.Thin || lv.Origin != "a" || lv.Pool != poolName || lv.Size != 40*lvm.MiB || !lv.ReadOnly || lv.Active || !lv.SkipActive ||
		!lv.HasTag("s") {
		s.Errorf("unexpected: %+v", lv)
	}
	if a := s.lv("a"); !a.Active || a.Suspended || a.ReadOnly {
		s.Errorf("its origin: %+v", a)
	}
	s.must(s.l.Activate(groupName, "snap")) // named, so activated in spite of the skip flag
	if lv := s.lv("snap"); !lv.Active || !lv.ReadOnly {
		s.Errorf("activated: %+v", lv)
	}
}

func cloneOfSnapshotIsWritable(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.makeSnapshot("a", "snap", false)
	s.makeSnapshot("snap", "clone", true)
	lv := s.lv("clone")
	if lv.ReadOnly || !lv.Active || lv.SkipActive || lv.Origin != "snap" || lv.Size != 40*lvm.MiB {
		s.Errorf("unexpected: %+v", lv)
	}
	if s.lv("snap").Active {
		s.Error("the snapshot was activated by its clone")
	}
	s.must(s.l.Deactivate(groupName, "clone", "a", poolName))
	s.must(s.l.Activate(groupName, "clone"))
	if lv := s.lv("clone"); lv.ReadOnly || !lv.Active {
		s.Errorf("activated again: %+v", lv)
	}
	s.must(s.l.Extend(groupName, "clone", 60*lvm.MiB))
	if size := s.lv("clone").Size; size != 60*lvm.MiB {
		s.Errorf("extended to %v", size)
	}
}

func snapshotOfInactiveVolume(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.Deactivate(groupName, "a", poolName))
	s.makeSnapshot("a", "snap", false)
	s.makeSnapshot("snap", "clone", true)
	if snap, clone := s.lv("snap"), s.lv("clone"); snap.Active || !clone.Active || s.lv("a").Active {
		s.Errorf("unexpected: %+v, %+v", snap, clone)
	}
}

func snapshotOutlivesItsOrigin(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.makeSnapshot("a", "snap", false)
	s.must(s.l.Remove(groupName, "a"))
	if lv := s.lv("snap"); lv.Origin != "" || lv.Size != 40*lvm.MiB {
		s.Errorf("unexpected: %+v", lv)
	}
	s.makeSnapshot("snap", "clone", true)
	s.must(s.l.Remove(groupName, "snap", "clone"))
	if n := len(slices.DeleteFunc(s.vg().LVs, func(lv lvm.LogicalVolume) bool { return lv.Segment != lvm.Thin })); n != 0 {
		s.Errorf("%d volumes are left", n)
	}
}

func extendWorksActiveAndInactive(s *suite) {
	s.makePool()
	s.makeThin("a")
	s.must(s.l.CreateThick(lvm.CreateThick{VG: groupName, Name: "b", Size: 12 * lvm.MiB}))
	for _, to := range []lvm.Bytes{50 * lvm.MiB, 80 * lvm.MiB} {
		for _, name := range []string{"a", "b"} {
			s.must(s.l.Extend(groupName, name, to))
			lv := s.lv(name)
			if want := to.RoundUp(4 * lvm.MiB); lv.Size != want {
				s.Errorf("%s is %v, expected %v", name, lv.Size, want)
			}
			if lv.Active && s.device(name).Size != lv.Size {
				s.Errorf("%s: its device is %v, its metadata %v", name, s.device(name).Size, lv.Size)
			}
		}
		s.must(s.l.Deactivate(groupName, "a", "b"))
	}
}
