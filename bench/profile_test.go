package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
)

func TestBuiltInProfilesCanBe(t *testing.T) {
	for _, p := range Profiles() {
		if err := p.Check(); err != nil {
			t.Errorf("profile %s: %v", p.Name, err)
		}
		names := map[string]bool{}
		for _, j := range p.Jobs {
			if field, text := j.unlike(); field != "" || names[j.Name] || !jobName.MatchString(j.Name) {
				t.Errorf("profile %s, job %s: %s %s", p.Name, j.Name, field, text)
			}
			names[j.Name] = true
		}
		if got, err := ProfileOf(p.Name); err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("ProfileOf(%s) = %+v, %v", p.Name, got, err)
		}
	}
	if p, _ := ProfileOf("quick"); p.Takes(1) > time.Minute {
		t.Errorf("quick takes %v, which is not quick", p.Takes(1))
	}
	if _, err := ProfileOf("fast"); err == nil || !strings.Contains(err.Error(), "expected quick, full, database, etcd") {
		t.Errorf("ProfileOf(fast): %v; expected the names that there are", err)
	}
	if _, err := ProfileOf("./none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ProfileOf(./none): %v", err)
	}
}

const example = `size: 1Gi
warmUp: 0s
runtime: 10s
repetitions: 7
steady: true
jobs:
- name: log
  pattern: write
  blockSize: 2300
  sync: true
- {name: mixed, pattern: randrw, blockSize: 16Ki, depth: 8, readPercent: 50}
`

func TestProfileIsReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ProfileOf(path)
	want := Profile{Name: path, Size: lvm.GiB, Runtime: 10 * time.Second, Repetitions: 7, Steady: true, MaxRounds: mostRounds, Jobs: []Job{
		{Name: "log", Pattern: Write, BlockSize: 2300, Depth: 1, Sync: true},
		{Name: "mixed", Pattern: RandRW, BlockSize: 16 * lvm.KiB, Depth: 8, ReadPercent: 50},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestMistakesInAProfileAreNamed(t *testing.T) {
	const job = "jobs:\n- name: a\n  pattern: read\n  blockSize: 4Ki\n"
	for text, want := range map[string]string{
		"sise: 1Gi\n" + job:                                   "f:1: sise: unknown key; known here: size, warmUp, runtime, repetitions, steady, maxRounds, jobs",
		"size: 1GB\n" + job:                                   `f:1: size: expected a size of at least 1Mi, such as 4Gi, got "1GB"`,
		"size: [1Gi]\n" + job:                                 "f:1: size: expected a size",
		"size: 1Gi\nsize: 2Gi\n" + job:                        "f:2: not YAML: mapping key",
		"runtime: 30\n" + job:                                 `f:1: runtime: expected a duration of 100ms to 24h, such as 30s, got "30"`,
		"warmUp: -1s\n" + job:                                 "f:1: warmUp: expected",
		"repetitions: 0\n" + job:                              "f:1: repetitions: expected a number from 1 to 1000",
		"steady: maybe\n" + job:                               "f:1: steady: expected true or false",
		"size: 1Gi\n":                                         "f:1: jobs: expected a list of 1 to 64 jobs",
		"jobs: []\n":                                          "jobs: expected a list",
		"jobs: [3]\n":                                         "f:1: jobs[0]: expected keys and values",
		job + "  depht: 3\n":                                  "f:5: jobs[0].depht: unknown key; known here: name, pattern, blockSize, depth, readPercent, sync",
		job + "  depth: 0\n":                                  "f:5: jobs[0].depth: expected a number from 1 to 1024",
		job + "  depth: 1.5\n":                                "f:5: jobs[0].depth: expected a number from 1 to 1024",
		job + "  readPercent: 50\n":                           "jobs[0].readPercent: expected it with pattern randrw",
		job + "  sync: true\n":                                "jobs[0].sync: expected it with pattern write or randwrite, at depth 1",
		job + job[len("jobs:\n"):]:                            "jobs[1].name: another job has the name a",
		"jobs:\n- {name: a, pattern: trim}\n":                 "f:2: jobs[0].pattern: expected read, write, randread, randwrite or randrw",
		"jobs:\n- {name: a}\n":                                "jobs[0].pattern: expected one",
		"jobs:\n- {pattern: read}\n":                          "jobs[0].name: expected a name",
		"jobs:\n- {name: A, pattern: read}\n":                 "jobs[0].name: expected 1 to 40 of a-z, 0-9 and -",
		"jobs:\n- {name: a, pattern: read}\n":                 "jobs[0].blockSize: expected a size",
		"jobs:\n- {name: a, pattern: read, blockSize: 100}\n": "jobs[0].blockSize: expected a multiple of 512 bytes",
		"":                          "f: expected one document",
		"a: 1\n---\nb: 2\n":         "f: expected one document",
		"size: [\n":                 "f:1: not YAML",
		"3":                         "f:1: expected keys and values",
		strings.Repeat(" ", 20_000): "f: expected at most 16384 bytes",
	} {
		if _, err := parseProfile("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v; want %q", text, err, want)
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"jobs": [{"name": "a", "pattern": "read", "blockSize": "4Ki"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parseProfile("f", data)
		if err != nil {
			return
		}
		for _, j := range p.Jobs {
			if field, text := j.unlike(); field != "" || j.Depth < 1 {
				t.Errorf("job %+v was read: %s %s", j, field, text)
			}
		}
	})
}
