package lvm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// scenarioNames are the scenarios of which testdata has what a device carried; "empty" has none.
func scenarioNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.metadata")
	if err != nil || len(files) < 9 {
		t.Fatalf("captured metadata: %q, error %v", files, err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), ".metadata")
	}
	return files
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every sum that LVM wrote must be what is computed here.
func TestHeadsOfRealDevices(t *testing.T) {
	for _, name := range scenarioNames(t) {
		heads, text := testdata(t, name+".heads"), testdata(t, name+".metadata")
		l, found, err := parseLabel(heads)
		if err != nil || found != (name != "empty") {
			t.Errorf("%s: label %+v, found %v, error %v", name, l, found, err)
			continue
		}
		if !found {
			continue
		}
		if len(l.uuid) != 38 || len(l.areas) != 1 || l.device < 100*MiB || !l.used {
			t.Errorf("%s: label %+v", name, l)
			continue
		}
		a, err := parseArea(heads[labelSectors*int(Sector):], l.areas[0])
		if err != nil || a.checksum != checksum(text) || a.text.Size != uint64(len(text)) {
			t.Errorf("%s: area %+v, error %v; the text has %d bytes and sum %x", name, a, err, len(text), checksum(text))
		}
	}
}

// The text must say what LVM reports of it.
func TestMetadataOfRealGroups(t *testing.T) {
	for _, name := range scenarioNames(t) {
		text := testdata(t, name+".metadata")
		if len(text) == 0 {
			continue
		}
		p, err := parseReport(testdata(t, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		want := p.VolumeGroups[0]
		got, err := parseMetadata(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want.Partial {
			continue // its text says how it was with all devices
		}
		for i := range want.PVs {
			want.PVs[i].Device, want.PVs[i].Duplicate = "", false
		}
		for i := range want.LVs { // what only the kernel knows
			lv := &want.LVs[i]
			lv.Active, lv.Open, lv.Health, lv.Mapped, lv.MetadataUsed = false, false, Healthy, 0, 0
		}
		want.MetadataSize, want.MetadataFree = 0, 0
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the text says\n%+v, LVM\n%+v", name, got, want)
		}
	}
}

func TestDamageIsNotVouchedFor(t *testing.T) {
	heads, text := testdata(t, "thin.heads"), testdata(t, "thin.metadata")
	l, _, err := parseLabel(heads)
	if err != nil {
		t.Fatal(err)
	}
	header := heads[labelSectors*int(Sector):]
	for i := range int(Sector) { // the label is in the second sector; each byte of it counts from its mark on
		damaged := bytes.Clone(heads)
		damaged[int(Sector)+i] ^= 1
		if got, found, err := parseLabel(damaged); found && err == nil {
			t.Errorf("label with byte %d changed: %+v", i, got)
		}
		damaged = bytes.Clone(header)
		damaged[i] ^= 1
		if got, err := parseArea(damaged, l.areas[0]); !errors.Is(err, errDamaged) {
			t.Errorf("area with byte %d changed: %+v, error %v", i, got, err)
		}
	}
	for at := range text {
		if at > 0 {
			_, _ = parseMetadata(text[:at]) // must not panic; most are no whole text
		}
	}
	for name, change := range map[string][2]string{
		"two groups":            {"# Generated", "other {\n}\n# Generated"},
		"unknown status":        {`status = ["RESIZEABLE"`, `status = ["CLUSTERED"`},
		"missing device":        {"flags = []\ndev_size", `flags = ["MISSING"]` + "\ndev_size"},
		"unknown segment":       {`type = "thin-pool"`, `type = "thin-pool+X"`},
		"unknown device":        {`"pv0", 0`, `"pv9", 0`},
		"more than there is":    {"pe_count = 255", "pe_count = 20"},
		"extent size of 0":      {"extent_size = 8192", "extent_size = 0"},
		"huge extent size":      {"extent_size = 8192", "extent_size = 9007199254740993"},
		"no segments":           {"segment_count = 1", "segment_count = 0"},
		"other version":         {"version = 1", "version = 2"},
		"not a UUID":            {`id = "`, `id = "x`},
		"a pool without data":   {`pool = "pool_tdata"`, `pool = "gone"`},
		"an external origin":    {`thin_pool = "pool"`, `thin_pool = "pool"` + "\nexternal_origin = \"x\""},
		"shared":                {`format = "lvm2"`, `format = "lvm2"` + "\nlock_type = \"sanlock\""},
		"a name no group has":   {"loam-real {", "-x {"},
		"the same entry twice":  {"seqno =", "seqno = 1\nseqno ="},
		"a list without an end": {`"READ", "WRITE"]`, `"READ", "WRITE"`},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if changed == string(text) {
			t.Errorf("%s: the text has no %q", name, change[0])
		}
		if vg, err := parseMetadata([]byte(changed)); !errors.Is(err, errDamaged) {
			t.Errorf("%s: read as %+v, error %v", name, vg, err)
		}
	}
}

func TestTextMayGoOnAtTheBeginningOfItsRing(t *testing.T) {
	a := area{location: location{4096, 1 << 20}, text: location{1<<20 - 512, 2000}}
	want := []location{{4096 + 1<<20 - 512, 512}, {4096 + 512, 1488}}
	if got := a.parts(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPoolStatus(t *testing.T) {
	for status, want := range map[string]poolStatus{
		"4 215/2048 160/1600 - rw discard_passdown error_if_no_space - 1024":           {transaction: 4, metadata: share{215, 2048}, data: share{160, 1600}},
		"1 13/2048 128/128 - out_of_data_space discard_passdown error_if_no_space - 1": {OutOfData, 1, share{13, 2048}, share{128, 128}},
		"1 13/2048 1/128 - ro discard_passdown queue_if_no_space needs_check 1024":     {NeedsCheck, 1, share{13, 2048}, share{1, 128}},
		"1 13/2048 1/128 - ro discard_passdown queue_if_no_space - 1024":               {MetadataReadOnly, 1, share{13, 2048}, share{1, 128}},
		"Fail": {health: Failed},
	} {
		if got, err := parsePoolStatus(status); err != nil || got != want {
			t.Errorf("%q: %+v, error %v, want %+v", status, got, err, want)
		}
	}
	for _, status := range []string{"", "Error?", "1 2 3 - rw", "1 2/3", "x 1/2 1/2 - rw", "1 3/2 1/2 - rw", "1 1/2 1/2 -"} {
		if got, err := parsePoolStatus(status); err == nil {
			t.Errorf("%q: read as %+v", status, got)
		}
	}
}

func FuzzLabel(f *testing.F) {
	for _, name := range scenarioNames(f) {
		f.Add(testdata(f, name+".heads"))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		// With its right sum, so that what is behind is reached.
		head = bytes.Clone(head)
		if len(head) >= 2*int(Sector) {
			binary.LittleEndian.PutUint32(head[int(Sector)+16:], checksum(head[int(Sector)+20:2*int(Sector)]))
		}
		if l, found, err := parseLabel(head); found && err == nil && (len(l.uuid) != 38 || l.device < 0) {
			t.Errorf("%+v", l)
		}
	})
}

func FuzzArea(f *testing.F) {
	f.Add(testdata(f, "thin.heads")[labelSectors*int(Sector):], uint64(4096), uint64(1044480))
	f.Fuzz(func(t *testing.T, header []byte, offset, size uint64) {
		header = bytes.Clone(header)
		if len(header) >= areaHeader {
			binary.LittleEndian.PutUint32(header, checksum(header[4:areaHeader]))
		}
		at := location{offset, size}
		a, err := parseArea(header, at)
		if err != nil {
			return
		}
		for _, p := range a.parts() {
			if p.Offset < at.Offset+areaHeader || p.Offset+p.Size > at.Offset+at.Size {
				t.Errorf("%+v is read outside of %+v: %+v", a, at, p)
			}
		}
		if a.free() < 0 || a.free() > Bytes(size) {
			t.Errorf("%+v: %d free", a, a.free())
		}
	})
}

func FuzzMetadata(f *testing.F) {
	for _, name := range scenarioNames(f) {
		f.Add(testdata(f, name+".metadata"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		vg, err := parseMetadata(text)
		if err != nil {
			return
		}
		if vg.Free < 0 || vg.Free > vg.Size || vg.ExtentSize <= 0 || len(vg.PVs) == 0 {
			t.Errorf("%+v", vg)
		}
		for _, lv := range vg.LVs {
			if lv.Size <= 0 || lv.Stripes < 1 || lv.Segment == "" {
				t.Errorf("%+v", lv)
			}
		}
	})
}

func FuzzPoolStatus(f *testing.F) {
	f.Add("4 215/2048 160/1600 - rw discard_passdown error_if_no_space - 1024", int64(GiB))
	f.Fuzz(func(t *testing.T, status string, size int64) {
		s, err := parsePoolStatus(status)
		if err != nil || size < 0 {
			return
		}
		if used := s.data.of(Bytes(size)); used < 0 || used > Bytes(size) {
			t.Errorf("%q: %d of %d", status, used, size)
		}
	})
}
