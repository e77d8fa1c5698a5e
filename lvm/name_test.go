package lvm

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for _, test := range []struct {
		vg, lv string
		ok     bool
	}{
		{"vg", "lv", true},
		{"a", "0", true},
		{"vg", "pvc-0a1b2c3d-0000-4000-8000-0123456789ab", true},
		{"loam-fast", "A.b_c+d-", true},
		{"vg", "_x", true},
		{"vg", "...", true},
		{"vg", "x-snapshot", true},
		{"vg", "tdata", true},
		{"vg", strings.Repeat("v", 122), true},
		{"vg", strings.Repeat("v", 123), false},
		{"vg", strings.Repeat("v-", 41), true},       // vg-, 41 letters, 82 dashes: 126
		{"vg", strings.Repeat("v-", 41) + "v", true}, // 127
		{"vg", strings.Repeat("v-", 41) + "vv", false},
		{"-vg", "lv", false},
		{".", "lv", false},
		{"vg", "..", false},
		{"vg", "", false},
		{"", "lv", false},
		{"vg", "-n", false},
		{"vg", "--", false},
		{"vg", "a/b", false},
		{"vg", "a b", false},
		{"vg", "a\n", false},
		{"vg", "a\x00", false},
		{"vg", "ü", false},
		{"vg", "\xff", false},
		{"vg", "@a", false},
		{"vg", "snapshot", false},
		{"vg", "snapshot-1", false},
		{"vg", "pvmove0", false},
		{"vg", "a_tmeta", false},
		{"vg", "a_rimage_0", false},
		{"vg", "a_wcorig", false},
		{"vg", "a_cvol", false},
	} {
		err := CheckVolume(test.vg, test.lv)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("%q/%q: error %v, expected it to be allowed: %v", test.vg, test.lv, err, test.ok)
		}
	}
}

func TestPoolNamesLeaveRoomForTheirParts(t *testing.T) {
	for n, ok := range map[int]bool{116: true, 117: false} {
		r := CreatePool{VG: "vg", Name: strings.Repeat("p", n), Size: MiB}
		if err := r.Check(); (err == nil) != ok {
			t.Errorf("a name of %d characters: error %v, expected it to be allowed: %v", n, err, ok)
		}
	}
}

// grammar is lvm(8), "Valid names", as written there.
var grammar = regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*$`)

func FuzzNames(f *testing.F) {
	for _, s := range []string{"lv", "-", "..", "a_tdata", "snapshot", "a\x00b", "ä", strings.Repeat("-a", 70)} {
		f.Add("vg", s)
	}
	f.Fuzz(func(t *testing.T, vg, lv string) {
		if CheckVolume(vg, lv) != nil {
			return
		}
		for _, s := range []string{vg, lv} {
			if !grammar.MatchString(s) || s == "." || s == ".." {
				t.Errorf("%q passed", s)
			}
		}
		if n := len(deviceName(vg, lv)); n > 127 {
			t.Errorf("%q/%q passed, its device's name has %d characters", vg, lv, n)
		}
	})
}

func FuzzTagsAndDevices(f *testing.F) {
	f.Add("tag")
	f.Add("/dev/sda")
	f.Add("/dev/disk/by-id/nvme-x,y")
	f.Fuzz(func(t *testing.T, s string) {
		if CheckTag(s) == nil && (strings.HasPrefix(s, "-") || strings.ContainsAny(s, ", @\"'\x00\n")) {
			t.Errorf("%q passed as a tag", s)
		}
		if CheckDevice(s) == nil && (!strings.HasPrefix(s, "/dev/") || strings.ContainsAny(s, ", \"'\x00\n") || strings.Contains(s, "/../")) {
			t.Errorf("%q passed as a device", s)
		}
	})
}
