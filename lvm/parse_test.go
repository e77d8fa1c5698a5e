package lvm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// captured reads what real LVM reported (capture_test.go says of what).
func captured(t *testing.T, name string) (Report, VolumeGroup) {
	t.Helper()
	out, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseReport(out)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	vg, _ := p.VolumeGroup("loam-real")
	return p.Report, vg
}

func TestParseEmptyReport(t *testing.T) {
	if r, _ := captured(t, "empty"); r.VolumeGroups != nil || r.Unused != nil {
		t.Errorf("got %+v", r)
	}
}

func TestParseThinPoolWithSnapshots(t *testing.T) {
	_, vg := captured(t, "thin")
	if vg.Size-vg.Free != 116*MiB || vg.ExtentSize != 4*MiB || len(vg.LVs) != 8 {
		t.Errorf("group: %+v", vg)
	}
	lv := func(name string) LogicalVolume {
		got, ok := vg.LV(name)
		if !ok || len(got.UUID) != 38 || got.Created.Before(time.Unix(1<<30, 0)) {
			t.Errorf("%s: %+v", name, got)
		}
		got.UUID, got.Created = "", time.Time{}
		return got
	}
	for name, want := range map[string]LogicalVolume{
		"pool": {
			Segment: ThinPool, Size: 100 * MiB, Tags: []string{"loam.storage/pool=fast"}, Active: true, Open: true, Mapped: 10 * MiB,
			MetadataSize: 8 * MiB, ChunkSize: 64 * KiB, ErrorWhenFull: true, TransactionID: 4, Stripes: 1,
		},
		"a": {Segment: Thin, Size: 80 * MiB, Tags: []string{"b/c=d", "z"}, Pool: "pool", Active: true, Mapped: 10 * MiB, Stripes: 1},
		"snap": {
			Segment: Thin, Size: 80 * MiB, Pool: "pool", Origin: "a", ReadOnly: true, SkipActive: true, Stripes: 1,
		},
		"clone":         {Segment: Thin, Size: 80 * MiB, Pool: "pool", Origin: "snap", Active: true, Open: true, Mapped: 10 * MiB, Stripes: 1},
		"inactive":      {Segment: Thin, Size: 40 * MiB, Pool: "pool", Stripes: 1},
		"pool_tdata":    {Hidden: true, Segment: Linear, Size: 100 * MiB, Active: true, Open: true, Stripes: 1},
		"pool_tmeta":    {Hidden: true, Segment: Linear, Size: 8 * MiB, Active: true, Open: true, Stripes: 1},
		"lvol0_pmspare": {Hidden: true, Segment: Linear, Size: 8 * MiB, Stripes: 1},
	} {
		want.Name = name
		got := lv(name)
		if name == "pool" {
			if got.MetadataUsed < 400*KiB || got.MetadataUsed > MiB {
				t.Errorf("the pool uses %v of its metadata", got.MetadataUsed)
			}
			got.MetadataUsed = 0
		}
		if !equal(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
}

func equal(a, b LogicalVolume) bool {
	tags := slices.Equal(a.Tags, b.Tags)
	a.Tags, b.Tags = nil, nil
	return tags && a.Name == b.Name && a.Hidden == b.Hidden && a.Segment == b.Segment && a.Size == b.Size && a.Pool == b.Pool &&
		a.Origin == b.Origin && a.Active == b.Active && a.Suspended == b.Suspended && a.Open == b.Open && a.ReadOnly == b.ReadOnly &&
		a.SkipActive == b.SkipActive && a.Health == b.Health && a.Mapped == b.Mapped && a.MetadataSize == b.MetadataSize &&
		a.MetadataUsed == b.MetadataUsed && a.ChunkSize == b.ChunkSize && a.ErrorWhenFull == b.ErrorWhenFull &&
		a.TransactionID == b.TransactionID && a.Stripes == b.Stripes
}

func TestParseThickVolumes(t *testing.T) {
	_, vg := captured(t, "thick")
	if !slices.Equal(vg.Tags, []string{"t1", "t2"}) || len(vg.PVs) != 2 || vg.MetadataSize != 17*MiB-4*KiB {
		t.Errorf("group: %+v", vg)
	}
	for name, want := range map[string]LogicalVolume{
		"striped": {Segment: Striped, Size: 24 * MiB, Stripes: 2},
		"linear":  {Segment: Linear, Size: 16 * MiB, Stripes: 1}, // of two segments
	} {
		got, _ := vg.LV(name)
		if got.Segment != want.Segment || got.Size != want.Size || got.Stripes != want.Stripes || !got.Active || got.Mapped != 0 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestParseStripedPool(t *testing.T) {
	_, vg := captured(t, "striped-pool")
	if p, _ := vg.LV("pool"); p.Stripes != 2 || p.Segment != ThinPool {
		t.Errorf("got %+v", p)
	}
	if d, _ := vg.LV("pool_tdata"); d.Stripes != 2 || d.Segment != Striped {
		t.Errorf("got %+v", d)
	}
}

func TestParseFullPool(t *testing.T) {
	_, vg := captured(t, "full")
	if p, _ := vg.LV("pool"); p.Health != OutOfData || p.Mapped != p.Size {
		t.Errorf("got %+v", p)
	}
	if a, _ := vg.LV("a"); a.Mapped != 8*MiB {
		t.Errorf("got %+v", a)
	}
}

func TestParseMissingDevice(t *testing.T) {
	_, vg := captured(t, "missing")
	if !vg.Partial || vg.MissingPVs != 1 || len(vg.PVs) != 2 || vg.PVs[0].Missing || !vg.PVs[1].Missing || vg.PVs[1].Device != "[unknown]" {
		t.Errorf("got %+v", vg)
	}
	if lv, _ := vg.LV("wide"); lv.Health != PartialLV || lv.Active {
		t.Errorf("got %+v", lv)
	}
}

func TestParseGroupsOfOthers(t *testing.T) {
	if _, vg := captured(t, "exported"); !vg.Exported {
		t.Errorf("exported: %+v", vg)
	}
	if _, vg := captured(t, "foreign"); vg.SystemID != "other-host" || vg.Exported {
		t.Errorf("of another host: %+v", vg)
	}
}

func TestParsePhysicalVolumesInNoGroup(t *testing.T) {
	r, vg := captured(t, "unused")
	if len(r.VolumeGroups) != 1 || len(vg.PVs) != 1 || len(r.Unused) != 2 {
		t.Fatalf("got %+v", r)
	}
	for _, pv := range r.Unused {
		if pv.Device == "" || pv.UUID == "" || pv.Size == 0 || pv.Missing || pv.Duplicate {
			t.Errorf("got %+v", pv)
		}
	}
}

// LVM reports the device that it chose and says nothing of the other but in a warning.
func TestDuplicatesAreMarkedByUUID(t *testing.T) {
	_, vg := captured(t, "duplicate")
	if len(vg.PVs) != 1 || vg.PVs[0].Duplicate {
		t.Fatalf("got %+v", vg)
	}
	p := parsed{Report: Report{VolumeGroups: []VolumeGroup{vg}, Unused: []PhysicalVolume{{UUID: "u"}, {UUID: "v"}}}}
	p.markDuplicates([]string{"x", vg.PVs[0].UUID, "v"})
	if !vg.PVs[0].Duplicate || p.Unused[0].Duplicate || !p.Unused[1].Duplicate {
		t.Errorf("got %+v", p.Report)
	}
}

func TestHealthShowsTheWorst(t *testing.T) {
	for _, test := range []struct {
		health, check string
		want          Health
	}{
		{"", "", Healthy},
		{"", "unknown", Healthy},
		{"partial", "unknown", PartialLV},
		{"", "check needed", NeedsCheck},
		{"metadata_read_only", "check needed", NeedsCheck},
		{"metadata_read_only", "", MetadataReadOnly},
		{"failed", "check needed", Failed},
		{"out_of_data", "", OutOfData},
	} {
		if got := health(lvRow{Health: test.health, CheckNeeded: test.check}); got != test.want {
			t.Errorf("%q, %q: got %q, want %q", test.health, test.check, got, test.want)
		}
	}
}

func TestPercentagesBecomeBytes(t *testing.T) {
	for _, test := range []struct {
		percent string
		whole   Bytes
		want    Bytes
	}{
		{"", GiB, 0},
		{"unknown", GiB, 0},
		{"0.00", GiB, 0},
		{"100.00", GiB, GiB},
		{"100", GiB, GiB},
		{"0.01", 10000, 1},
		{"3.50", 200 * MiB, 7 * MiB},
		{"50.00", 1<<62 + 2, 1<<61 + 1},
	} {
		n := &numbers{}
		if got := n.share("data_percent", test.percent, test.whole); got != test.want || n.err != nil {
			t.Errorf("%q of %d: got %d, error %v, want %d", test.percent, test.whole, got, n.err, test.want)
		}
	}
	for _, bad := range []string{"x", "-5.00", "100.01", "1.234", "1e2", "."} {
		n := &numbers{}
		if n.share("data_percent", bad, GiB); n.err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

// A report that cannot be read must not pass for one of an empty machine.
func TestUnreadableReportIsAnError(t *testing.T) {
	for _, out := range []string{
		"", "{}", "null", "[]", `{"report":{}}`, `{"report":[{"vg":[{"vg_size":"1.00g"}]}]}`, `{"report":[{"vg":[{"vg_size":"-5"}]}]}`,
		`{"report":[{"vg":[{}],"lv":[{"lv_time":"yesterday"}]}]}`, `{"report":[]`,
	} {
		if p, err := parseReport([]byte(out)); err == nil {
			t.Errorf("%s was read as %+v", out, p)
		}
	}
}

func FuzzReport(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no captured reports: %v", err)
	}
	for _, name := range files {
		out, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out)
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		p, err := parseReport(out)
		if err != nil {
			return
		}
		for _, vg := range p.VolumeGroups {
			for _, lv := range vg.LVs {
				if lv.Size < 0 || lv.Mapped < 0 || lv.Mapped > lv.Size || lv.MetadataUsed > lv.MetadataSize || lv.Stripes < 1 {
					t.Errorf("%+v", lv)
				}
			}
		}
	})
}
