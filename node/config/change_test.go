package config

import (
	"strings"
	"testing"
)

const before = `pools:
- name: a
  devices: {paths: [/dev/sdb]}
- name: b
  type: thick
  devices: {paths: [/dev/sdc]}
`

func TestChangesThatAreAppliedInPlace(t *testing.T) {
	for _, c := range []struct{ name, next, want string }{
		{"nothing", before, ""},
		{"a default written out, and comments", "# x\n" + strings.Replace(before, "  type: thick", "  wipe: zero\n  type: thick", 1), ""},
		{"another order", "pools:\n- {name: b, type: thick, devices: {paths: [/dev/sdc]}}\n- {name: a, devices: {paths: [/dev/sdb]}}\n", ""},
		{"one more device", strings.Replace(before, "[/dev/sdb]", "[/dev/sdb, /dev/sdd]", 1),
			"pool a: devices.paths changes from /dev/sdb to /dev/sdb, /dev/sdd"},
		{"thresholds", strings.Replace(before, "- name: a", "- name: a\n  thin: {stopAt: 99%}\n  reserve: 1Gi", 1),
			"pool a: reserve changes from 5% to 1Gi\npool a: thin.stopAt changes from 95% to 99%"},
		{"wipe", before + "  wipe: none\n", "pool b: wipe changes from zero to none"},
		{"one more pool", before + "- {name: c, devices: {paths: [/dev/sde]}}\n", "pool c is new"},
		{"one pool less", strings.Split(before, "- name: b")[0], "pool b is no longer configured; what it holds stays"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, err := Changes(parsed(t, before), parsed(t, c.next))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range changes {
				got = append(got, one.String())
			}
			if s := strings.Join(got, "\n"); s != c.want {
				t.Errorf("got:\n%s\nwant:\n%s", s, c.want)
			}
		})
	}
}

func TestChangesThatCannotBeMadeInPlace(t *testing.T) {
	for _, c := range []struct{ name, next, want string }{
		{"type", strings.Replace(before, "- name: a", "- name: a\n  type: thick", 1),
			"loam.yaml:3: pools[0].type: pool a has thin, and this cannot be changed to thick in place; nothing was changed"},
		{"type left to its default", strings.Replace(before, "  type: thick\n", "", 1),
			"loam.yaml:4: pools[1].type: pool b has thick, and this cannot be changed to thin in place; nothing was changed"},
		{"chunk size", strings.Replace(before, "- name: a", "- name: a\n  thin:\n    chunkSize: 128Ki", 1),
			"loam.yaml:4: pools[0].thin.chunkSize: pool a has 64Ki, and this cannot be changed to 128Ki in place; nothing was changed"},
		{"group", before + "  volumeGroup: vg\n",
			"loam.yaml:7: pools[1].volumeGroup: pool b has loam-b, and this cannot be changed to vg in place; nothing was changed"},
		{"stripes", before + "  stripes: 2\n",
			"loam.yaml:7: pools[1].stripes: pool b has 1, and this cannot be changed to 2 in place; nothing was changed"},
		{"name", strings.Replace(before, "name: b", "name: c\n  volumeGroup: loam-b", 1),
			"loam.yaml:4: pools[1].name: volume group loam-b is that of pool b, which cannot be renamed to c in place; nothing was changed"},
		{"two at once", strings.Replace(before, "- name: a", "- name: a\n  stripes: 2\n  type: thick", 1),
			"loam.yaml:3: pools[0].stripes: pool a has 1, and this cannot be changed to 2 in place; nothing was changed\n" +
				"loam.yaml:4: pools[0].type: pool a has thin, and this cannot be changed to thick in place; nothing was changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, err := Changes(parsed(t, before), parsed(t, c.next))
			if err == nil || err.Error() != c.want || changes != nil {
				t.Errorf("got %v and:\n%v\nwant:\n%s", changes, err, c.want)
			}
		})
	}
}

func TestChangesNameTheKeyAlsoOfAConfigThatWasNotParsed(t *testing.T) {
	_, err := Changes(Config{Pools: []Pool{{Name: "a", Stripes: 1}}}, Config{Pools: []Pool{{Name: "a", Stripes: 2}}})
	if err == nil || !strings.Contains(err.Error(), "pools[0].stripes: pool a has 1") {
		t.Errorf("got %v", err)
	}
}
