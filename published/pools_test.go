package published

import (
	"reflect"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	said := Pools{
		"fast": {Available: 10*lvm.GiB + 4*lvm.MiB, Extent: 4 * lvm.MiB, Volumes: Of([]string{"pvc-b", "pvc-a"})},
		"slow": {Volumes: Volumes{}},
	}
	read, err := Parse(said.String())
	if err != nil || !reflect.DeepEqual(read, said) {
		t.Errorf("%s: read as %v, %v", said, read, err)
	}
	if !read["fast"].Volumes.Has(Key("pvc-a")) || read["fast"].Volumes.Has(Key("pvc-c")) {
		t.Errorf("%s: has pvc-a and not pvc-c", said)
	}
}

func TestAVolumeTakesSixLetters(t *testing.T) {
	before, after := Pools{"fast": {}}, Pools{"fast": {Volumes: make(Volumes, 100)}}
	if more := len(after.String()) - len(before.String()); more > 600 {
		t.Errorf("a hundred volumes take %d letters more, want at most 600", more)
	}
}

func TestParseRefusesWhatNoAgentWrites(t *testing.T) {
	for text, says := range map[string]string{
		"":                                   "unexpected end",
		"null":                               "0 pools",
		"[]":                                 "cannot unmarshal",
		`{"fast":{"available":-1}}`:          "cannot have",
		`{"fast":{"extent":-1}}`:             "cannot have",
		`{"":{}}`:                            "cannot have",
		`{"fast":{"volumes":"AAA"}}`:         "whole number",
		`{"fast":{"volumes":"%"}}`:           "illegal base64",
		`{"fast":{"volumes":"AAAAAgAAAAE"}}`: "not in order",
	} {
		if p, err := Parse(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v; want an error with %q", text, p, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Pools{"fast": {Available: lvm.GiB, Extent: lvm.MiB, Volumes: Of([]string{"a", "b"})}}.String())
	f.Add(`{"fast":{"volumes":"AAA"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || again.String() != p.String() {
			t.Errorf("%q: %v becomes %v, %v", text, p, again, err)
		}
	})
}
