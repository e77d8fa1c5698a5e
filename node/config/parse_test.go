package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// full says everything that may be said of a thin pool, and a thick one.
const full = `pools:
- name: fast                       # StorageClass parameter pool: fast
  type: thin
  devices:
    paths: ["/dev/disk/by-id/nvme-*"]
    exclude: ["*-part*"]
    minSize: 100Gi
    maxSize: 8T
    rotational: false
  volumeGroup: vg-fast
  reserve: 10Gi
  thin: {overprovision: 2, chunkSize: 128Ki, stopAt: 99.5%, extend: {at: 70%, by: 10%}}
  stripes: 2
  nodes: {disktype: nvme, example.com/zone: ""}
- name: slow
  type: thick
  volumeGroup: vg-slow
  wipe: discard
`

func parsed(t *testing.T, text string) Config {
	t.Helper()
	c, err := Parse("loam.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseReadsEveryKey(t *testing.T) {
	spins := false
	want := []Pool{{
		Name: "fast", Type: Thin, VolumeGroup: "vg-fast", Reserve: share(t, "10Gi"), Stripes: 2,
		Devices: Devices{
			Paths: []string{"/dev/disk/by-id/nvme-*"}, Exclude: []string{"*-part*"},
			MinSize: 100 * lvm.GiB, MaxSize: 8e12, Rotational: &spins,
		},
		Thin: ThinPool{
			Overprovision: 2, ChunkSize: 128 * lvm.KiB, StopAt: share(t, "99.5%"),
			Extend: Extend{At: share(t, "70%"), By: share(t, "10%")},
		},
		Nodes: map[string]string{"disktype": "nvme", "example.com/zone": ""},
	}, {
		Name: "slow", Type: Thick, VolumeGroup: "vg-slow", Reserve: share(t, "5%"), Stripes: 1, Wipe: Discard,
	}}
	if got := parsed(t, full).Pools; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseAppliesTheDefaults(t *testing.T) {
	got := parsed(t, "pools: [{name: p, devices: {paths: [/dev/sdb]}}, {name: q, type: thick, devices: {paths: [/dev/sdc]}}]").Pools
	want := []Pool{{
		Name: "p", Type: Thin, VolumeGroup: "loam-p", Reserve: share(t, "5%"), Stripes: 1,
		Devices: Devices{Paths: []string{"/dev/sdb"}},
		Thin: ThinPool{
			Overprovision: 1, ChunkSize: 64 * lvm.KiB, StopAt: share(t, "95%"),
			Extend: Extend{At: share(t, "80%"), By: share(t, "20%")},
		},
	}, {
		Name: "q", Type: Thick, VolumeGroup: "loam-q", Reserve: share(t, "5%"), Stripes: 1, Wipe: Zero,
		Devices: Devices{Paths: []string{"/dev/sdc"}},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseReadsJSON(t *testing.T) {
	const json = "{\n\t\"pools\": [\n\t\t{\"name\": \"p\", \"devices\": {\"paths\": [\"/dev/sdb\"], \"minSize\": 1073741824}}\n\t]\n}\n"
	got := parsed(t, json)
	if len(got.Pools) != 1 || got.Pools[0].Devices.MinSize != lvm.GiB {
		t.Errorf("got %+v", got.Pools)
	}
	_, err := Parse("loam.json", []byte(strings.Replace(json, "minSize", "minsize", 1)))
	if want := "loam.json:3: pools[0].devices.minsize: unknown key"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNoPoolAtAllMustBeSaid(t *testing.T) {
	if c := parsed(t, "pools: []"); len(c.Pools) != 0 {
		t.Errorf("got %+v", c.Pools)
	}
}

// TestMessages shows how the problems of a file look: all at once, in the order of the lines.
func TestMessages(t *testing.T) {
	const wrong = `pools:
- name: Fast_1
  type: fat
  devices:
    path: ["/dev/sdb"]
    paths: []
    minSize: big
    rotational: "no"
- name: a
  name: b
  devices:
    paths:
    - sdb
    - /dev/[
    exclude: ["disk/x", 5]
    minSize: 10Gi
    maxSize: 1Gi
  thin: {chunkSize: 65Ki, stopAt: 80%, extend: {at: 80, by: 0%}}
  wipe: zero
  stripes: 129
- devices: {paths: [/dev/sdc]}
  type: thick
  reserve: 100%
  volumeGroup: loam-a
  thin: {overprovision: 0}
  wipe: shred
  nodes: {gpu: true, "a b": x}
- name: a
  reserve:
- lonely
disks: {}
`
	const want = `loam.yaml:2: pools[0].name: expected a DNS label: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit; got "Fast_1"
loam.yaml:3: pools[0].type: expected thin or thick; got "fat"
loam.yaml:5: pools[0].devices.path: unknown key; known here: paths, exclude, minSize, maxSize, rotational
loam.yaml:6: pools[0].devices.paths: expected a list, each of it an absolute path or pattern below /dev, without .. or doubled slashes; got an empty list
loam.yaml:7: pools[0].devices.minSize: expected a size above 0 with an optional suffix Ki, Mi, Gi, Ti, Pi, k, M, G, T or P; got "big"
loam.yaml:8: pools[0].devices.rotational: expected true or false; got "no"
loam.yaml:10: pools[1].name: duplicate key; it is on line 9 already
loam.yaml:13: pools[1].devices.paths[0]: expected an absolute path or pattern below /dev, without .. or doubled slashes; got "sdb"
loam.yaml:14: pools[1].devices.paths[1]: expected an absolute path or pattern below /dev, without .. or doubled slashes; got "/dev/["
loam.yaml:15: pools[1].devices.exclude[0]: expected a pattern below /dev, or without a slash to match the last element of a name; got "disk/x"
loam.yaml:15: pools[1].devices.exclude[1]: expected a pattern below /dev, or without a slash to match the last element of a name; got the number 5
loam.yaml:17: pools[1].devices.maxSize: expected at least minSize, which is 10Gi; got 1Gi
loam.yaml:18: pools[1].thin.chunkSize: expected a multiple of 64Ki from 64Ki to 1Gi; got "65Ki"
loam.yaml:18: pools[1].thin.extend.at: expected a percentage above 0% and up to 100%; got the number 80
loam.yaml:18: pools[1].thin.extend.by: expected a percentage above 0% and up to 100%; got "0%"
loam.yaml:19: pools[1].wipe: only a thick pool has this, and this one is thin
loam.yaml:20: pools[1].stripes: expected a whole number from 1 to 128; got the number 129
loam.yaml:21: pools[2].name: expected the pool's name, got nothing
loam.yaml:23: pools[2].reserve: expected a percentage below 100%, or a size with a suffix such as Gi; got "100%"
loam.yaml:24: pools[2].volumeGroup: expected a different one for each pool; the pool on line 9 has "loam-a" already
loam.yaml:25: pools[2].thin.overprovision: expected a number from 0.01 to 1000; got the number 0
loam.yaml:25: pools[2].thin.overprovision: only a thin pool has this, and this one is thick
loam.yaml:26: pools[2].wipe: expected zero, discard or none; got "shred"
loam.yaml:27: pools[2].nodes.gpu: expected labels as Kubernetes has them: names, with an optional prefix, and values of at most 63 of a-z, A-Z, 0-9, - _ and .; got true without quotes
loam.yaml:27: pools[2].nodes.a b: expected labels as Kubernetes has them: names, with an optional prefix, and values of at most 63 of a-z, A-Z, 0-9, - _ and .; got "x"
loam.yaml:28: pools[3].devices.paths: expected the devices that the pool may take, or volumeGroup with the name of a group that exists; got neither
loam.yaml:28: pools[3].name: expected a different one for each pool; the pool on line 9 has "a" already
loam.yaml:29: pools[3].reserve: expected a percentage below 100%, or a size with a suffix such as Gi; got nothing
loam.yaml:30: pools[4]: expected the keys of a pool, got "lonely"
loam.yaml:31: disks: unknown key; known here: pools`
	_, err := Parse("loam.yaml", []byte(wrong))
	if err == nil {
		t.Fatal("accepted")
	}
	got, expected := strings.Split(err.Error(), "\n"), strings.Split(want, "\n")
	for i := range max(len(got), len(expected)) {
		if i >= len(got) || i >= len(expected) || got[i] != expected[i] {
			t.Fatalf("line %d of the messages differs; all are:\n%s", i+1, err)
		}
	}
	if all := All(err); len(all) != len(got) || all[0].Line != 2 || all[0].Key != "pools[0].name" {
		t.Errorf("All has %d problems for %d lines, the first %+v", len(all), len(got), all[0])
	}
}

func TestParseRefusesWhatIsNotOneYAMLDocument(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "f:1: expected pools, got an empty file"},
		{"comments", "# later\n", "f:1: expected pools, got an empty file"},
		{"no pools", "{}", "f:1: pools: expected a list of pools, got nothing"},
		{"pools without a value", "pools:\n", "f:1: pools: expected a list of pools, got nothing"},
		{"a list", "- a\n", "f:1: expected keys and values, got a list"},
		{"cut in a list", "pools:\n- name: a\n  devices: {paths: [/dev/sd", "f:3: not YAML: "},
		{"tab", "pools:\n\t- name: a\n", "f:2: not YAML: "},
		{"two documents", "pools: []\n---\npools: []\n", "f:2: expected one document, got another"},
		{"an empty second document", "pools: []\n---", "f:2: expected one document, got another"},
		{"latin-1", "pools: []\n# caf\xe9\n", "f:2: expected text in UTF-8"},
		{"NUL", "pools: []\n\x00", "f:2: expected text in UTF-8"},
		{"alias", "pools:\n- &a {name: a, devices: {paths: [/dev/a]}}\n- *a\n", "f:2: pools[0]: expected the keys of a pool, got an anchor or alias, which must be written out"},
		{"merge", "pools:\n- <<: {name: a}\n", "f:2: pools[0]: expected a plain key, got an anchor or alias, which must be written out"},
		{"tag", "pools:\n- name: !!str a\n", "f:2: pools[0].name: expected a DNS label"},
		{"deep", "pools: " + strings.Repeat("[", 50000), "f:1: nested more than 16 deep"},
		{"deep maps", strings.Repeat("{a: ", 15000), "f:1: nested more than 16 deep"},
		{"deep sequences", "pools:\n" + strings.Repeat("- ", 30000), "f:2: nested more than 16 deep"},
		{"many keys", strings.Repeat("a:\n", 8000), "f:1: a: unknown key"},
		{"huge", "pools: []\n" + strings.Repeat("#\n", mostBytes), "f: expected at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ line, wrong string }{ // wrong "": accepted
		{"name: a-1", ""},
		{"name: " + strings.Repeat("a", 63), ""},
		{"name: " + strings.Repeat("a", 64), "name"},
		{"name: -a", "name"},
		{"name: 7", "name"},
		{`name: "7"`, ""},
		{"name: ../a", "name"},
		{"volumeGroup: vg_0+x.y-z", ""},
		{"volumeGroup: -vg", "volumeGroup"},
		{"volumeGroup: ..", "volumeGroup"},
		{"volumeGroup: a/b", "volumeGroup"},
		{"volumeGroup: " + strings.Repeat("v", 128), "volumeGroup"},
		{"devices: {paths: [/dev/disk/../sdb]}", "devices.paths[0]"},
		{"devices: {paths: [/etc/passwd]}", "devices.paths[0]"},
		{"devices: {paths: [/dev/]}", "devices.paths[0]"},
		{`devices: {paths: [""]}`, "devices.paths[0]"},
		{"devices: {paths: /dev/sdb}", "devices.paths"},
		{`devices: {paths: ["/dev/a\nb"]}`, "devices.paths[0]"},
		{`devices: {paths: [/dev/sdb], exclude: [""]}`, "devices.exclude[0]"},
		{"devices: {paths: [/dev/sdb], exclude: [/dev/sd*]}", ""},
		{"devices: {paths: [/dev/sdb], minSize: -1}", "devices.minSize"},
		{"devices: {paths: [/dev/sdb], minSize: 0}", "devices.minSize"},
		{"devices: {paths: [/dev/sdb], minSize: 1.5Ti, maxSize: 2Ti}", ""},
		{"devices: {paths: [/dev/sdb], rotational: no}", "devices.rotational"},
		{"devices: [/dev/sdb]", "devices"},
		{"reserve: 0%", ""},
		{"reserve: 99.99%", ""},
		{"reserve: -5%", "reserve"},
		{"reserve: 5", "reserve"},
		{"reserve: 0", ""},
		{"reserve: 5 %", "reserve"},
		{"thin: {overprovision: 1000.1}", "thin.overprovision"},
		{"thin: {overprovision: .inf}", "thin.overprovision"},
		{"thin: {overprovision: 1e2}", "thin.overprovision"},
		{`thin: {overprovision: "2"}`, "thin.overprovision"},
		{"thin: {overprovision: 0.5}", ""},
		{"thin: {chunkSize: 1Gi}", ""},
		{"thin: {chunkSize: 2Gi}", "thin.chunkSize"},
		{"thin: {chunkSize: 32Ki}", "thin.chunkSize"},
		{"thin: {chunkSize: 65536}", ""},
		{"thin: {stopAt: 100%}", ""},
		{"thin: {stopAt: 100.01%}", "thin.stopAt"},
		{"thin: {stopAt: 80%}", "thin.stopAt"},
		{"thin: {extend: {at: 95%}}", "thin.extend.at"},
		{"thin: {extend: {at: 94.99%}}", ""},
		{"thin: 5", "thin"},
		{"thin: {extend: 80%}", "thin.extend"},
		{"stripes: 128", ""},
		{"stripes: 0", "stripes"},
		{"stripes: -1", "stripes"},
		{"stripes: 1.5", "stripes"},
		{"stripes: 0x10", "stripes"},
		{"type: Thin", "type"},
		{"type: |\n    thin\n", "type"},
		{"nodes: {}", ""},
		{"nodes: {a/b/c: x}", "nodes.a/b/c"},
		{"nodes: {a=b: x}", "nodes.a=b"},
		{"nodes: {a: b c}", "nodes.a"},
	} {
		t.Run(c.line, func(t *testing.T) {
			text := "pools:\n- " + c.line + "\n"
			if !strings.HasPrefix(c.line, "name") {
				text += "  name: p\n"
			}
			if !strings.HasPrefix(c.line, "devices") {
				text += "  devices: {paths: [/dev/sdb]}\n"
			}
			_, err := Parse("f", []byte(text))
			if c.wrong == "" && err == nil {
				return
			}
			if err == nil || c.wrong == "" || !strings.HasPrefix(err.Error(), "f:2: pools[0]."+c.wrong+": ") {
				t.Errorf("got %v, want a problem of %q", err, c.wrong)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "loam.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that it does not exist", err)
	}
	if err := os.WriteFile(path, []byte("pool: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("got %v, want the file's path and line 1", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("pools: [{name: p, devices: {paths: [/dev/sdb]}}]"))
	f.Add([]byte("pools:\n- name: a\n  name: b\n  thin: &x {stopAt: 5%}\n  <<: *x\n? [a]\n: b\n"))
	f.Add([]byte("a: |\n b\n- \"\\x00\"\n'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if err != nil {
			if len(All(err)) == 0 {
				t.Errorf("no Problem in %v", err)
			}
			return
		}
		for i, p := range c.Pools {
			if p.Name == "" || p.VolumeGroup == "" || p.Stripes < 1 || p.Type == Thin && p.Thin.ChunkSize < leastChunk {
				t.Errorf("accepted pool %d: %+v", i, p)
			}
		}
		if changes, err := Changes(c, c); err != nil || len(changes) != 0 {
			t.Errorf("changes to itself: %v, %v", changes, err)
		}
		_ = fmt.Sprint(c)
	})
}
