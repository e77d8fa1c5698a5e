package volume

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func TestParseIDTakesOnlyTheExactForm(t *testing.T) {
	good := "node-1.example/pvc-0a1b2c3d-1111-2222-3333-444455556666"
	id, err := ParseID(good)
	if err != nil || id.String() != good {
		t.Fatalf("ParseID(%q) = %v, %v", good, id, err)
	}
	for _, bad := range []string{
		"", "/", "node", "node/", "/lv", "node/..", "node/.", "node/a/b", "node/-rf", "-n/lv", "node/a b", "node/a\x00b",
		"node/ä", "../x", "node//lv", strings.Repeat("n", 64) + "/lv", "node/" + strings.Repeat("v", 65), strings.Repeat("x", 1<<20),
	} {
		if id, err := ParseID(bad); !errors.Is(err, ErrID) {
			t.Errorf("ParseID(%.40q) = %v, %v; want ErrID", bad, id, err)
		}
	}
}

func TestLogicalVolumeNames(t *testing.T) {
	uid := "0a1b2c3d-1111-2222-3333-444455556666"
	for _, c := range []struct{ got, want string }{
		{VolumeLV("pvc-" + uid), "pvc-" + uid},
		{VolumeLV("data"), "data"},
		{SnapshotLV("snapshot-" + uid), "snap-" + uid},
		{SnapshotLV("nightly"), "snap-nightly"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	seen := map[string]string{}
	for _, name := range []string{
		"snapshot-x", "snap-x", "wiping-x", "h-x", "pvmove0", "a_tdata", "x y", "ä", strings.Repeat("n", 128), strings.Repeat("a-", 32), "..", "-x", "",
	} {
		for _, lv := range []string{VolumeLV(name), SnapshotLV(name)} {
			if _, err := ParseID("n/" + lv); err != nil || reserved.MatchString(lv) {
				t.Errorf("name %q becomes %q, which LVM or an ID cannot carry", name, lv)
			}
			if other, taken := seen[lv]; taken {
				t.Errorf("names %q and %q share the volume %q", name, other, lv)
			}
			seen[lv] = name
		}
	}
}

func TestRecordSurvivesItsTags(t *testing.T) {
	for _, want := range []Record{
		{Kind: Volume, Name: "pvc-1", FS: "xfs", Claim: "db/data-0"},
		{Kind: Volume, Name: "copy", Source: "snap-1", Size: 7},
		{Kind: Snapshot, Name: "spaces & ünïcode\n", Source: "pvc-1", Mapped: 123},
	} {
		got, ok := Read(lvm.LogicalVolume{Tags: append([]string{"someone's", "else=1"}, want.Tags()...)})
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("read back %+v, %v; want %+v", got, ok, want)
		}
	}
	for _, tags := range [][]string{nil, {"kind=volume"}, {Prefix + "kind=other"}, {Prefix + "name=x"}, {KindTag(Bench)}} {
		if r, ok := Read(lvm.LogicalVolume{Tags: tags}); ok {
			t.Errorf("tags %q were taken for %+v; want: not ours", tags, r)
		}
	}
}

func TestRenamedVolumeIsBeingWiped(t *testing.T) {
	lv := lvm.LogicalVolume{Name: WipingLV("Yk1JfM-GRQ3-eVYx-sbcq-2kIM-cC8x-3Fi8yx"), Tags: Record{Kind: Volume, Name: "x"}.Tags()}
	if r, ok := Read(lv); !ok || r.Kind != Wiping {
		t.Errorf("%s was read as %+v, %v; want kind %s", lv.Name, r, ok, Wiping)
	}
	if _, err := ParseID("n/" + lv.Name); err != nil {
		t.Error(err)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("node/pvc-1")
	f.Add("node/../x")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err == nil && (id.String() != s || len(s) > 128 || strings.Contains(id.LV, "/")) {
			t.Errorf("ParseID(%q) = %+v", s, id)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("a&b\x00")
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escape(s)); got != s {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}
