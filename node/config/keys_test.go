package config

import (
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

func share(t *testing.T, s string) Share {
	t.Helper()
	got, ok := ParseShare(s)
	if !ok {
		t.Fatalf("%q is not a share", s)
	}
	return got
}

func TestDefaultsAreWhatTheTableSays(t *testing.T) {
	thin := parsed(t, "pools: [{name: p, devices: {paths: [/dev/sdb]}}]").Pools[0]
	thick := parsed(t, "pools: [{name: p, type: thick, devices: {paths: [/dev/sdb]}}]").Pools[0]
	for _, key := range Keys() {
		if key.Default == "" || key.Path == "pools[].type" {
			continue
		}
		p := thin
		if key.For == Thick {
			p = thick
		}
		var again Pool
		if !key.set(&again, strings.ReplaceAll(key.Default, "<name>", "p")) || !key.equal(p, again) {
			t.Errorf("%s is %v, and its default %q", key.Path, key.get(p), key.Default)
		}
	}
}

func TestEveryKeyTakesBackWhatItShows(t *testing.T) {
	for _, p := range parsed(t, full).Pools {
		for _, key := range Keys() {
			if key.For != "" && key.For != p.Type {
				continue
			}
			var again Pool
			for _, v := range key.get(p) {
				if !key.set(&again, v) {
					t.Errorf("%s shows %q and does not take it", key.Path, v)
				}
			}
			if !key.equal(p, again) {
				t.Errorf("%s: %v became %v", key.Path, key.get(p), key.get(again))
			}
		}
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	for _, key := range Keys() {
		if !strings.HasPrefix(key.Path, "pools[].") || key.Expects == "" || !strings.HasSuffix(key.Meaning, ".") {
			t.Errorf("%+v", key)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		share string
		whole lvm.Bytes
		want  lvm.Bytes
	}{
		{"5%", 100 * lvm.GiB, 5 * lvm.GiB},
		{"0%", lvm.GiB, 0},
		{"100%", 7, 7},
		{"99.99%", 10000, 9999},
		{"0.5%", 1000, 5},
		{"50%", 4096 * lvm.PiB, 2048 * lvm.PiB},
		{"10Gi", lvm.TiB, 10 * lvm.GiB},
		{"10Gi", 0, 10 * lvm.GiB},
	} {
		s := share(t, c.share)
		if got := s.Of(c.whole); got != c.want {
			t.Errorf("%s of %v = %v, want %v", c.share, c.whole, got, c.want)
		}
		if s.String() != c.share {
			t.Errorf("%s shows as %s", c.share, s)
		}
	}
	for _, wrong := range []string{"", "%", "5.%", ".5%", "5.123%", "101%", "-1%", "+5%", "5 %", "five", "1e1%", "0x5%", "00005%"} {
		if s, ok := ParseShare(wrong); ok {
			t.Errorf("%q was read as %v", wrong, s)
		}
	}
}

func TestSelects(t *testing.T) {
	p := Pool{Nodes: map[string]string{"disk": "nvme", "zone": ""}}
	for _, c := range []struct {
		labels map[string]string
		want   bool
	}{
		{map[string]string{"disk": "nvme", "zone": "", "more": "x"}, true},
		{map[string]string{"disk": "nvme"}, false},
		{map[string]string{"disk": "ssd", "zone": ""}, false},
		{nil, false},
	} {
		if p.Selects(c.labels) != c.want {
			t.Errorf("%v: got %v", c.labels, !c.want)
		}
	}
	if !(Pool{}).Selects(nil) {
		t.Error("a pool without labels is on every node")
	}
}
