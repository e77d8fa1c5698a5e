package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// brief has `loam bench run` end within seconds: one job, once.
const brief = `size: 32Mi
warmUp: 0s
runtime: 500ms
repetitions: 1
jobs:
- {name: rand-read, pattern: randread, blockSize: 4Ki, depth: 4}
`

// claimReport is a part of what `loam bench pvc --json` writes.
type claimReport struct {
	Kind   string
	Labels []string
	Stages []struct {
		Name, Skipped string
		Jobs          []struct {
			Runs []struct{ Read struct{ Operations int64 } }
		}
	}
}

// restricted is a test in whose namespace Pod Security refuses whatever has privileges.
func restricted(t *testing.T) (plugin, string) {
	t.Helper()
	b := start(t)
	b.kubectl("label", "namespace", b.namespace, "pod-security.kubernetes.io/enforce=restricted")
	profile := filepath.Join(t.TempDir(), "brief.yaml")
	if err := os.WriteFile(profile, []byte(brief), 0o600); err != nil {
		b.Fatal(err)
	}
	return b.plugin(), profile
}

func (b bed) report(text string) claimReport {
	b.Helper()
	var r claimReport
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		b.Fatalf("%v: %s", err, text)
	}
	return r
}

// unclaimed fails the test for what a measurement left in its namespace, or of volumes.
func (b bed) unclaimed() {
	b.Helper()
	if left := b.kubectl("get", "jobs,pods,pvc", "-o", "name"); left != "" {
		b.Errorf("left: %s", left)
	}
	volumes := b.kubectl("get", "pv", "-o", "jsonpath={.items[*].spec.claimRef.namespace}")
	if slices.Contains(strings.Fields(volumes), b.namespace) {
		b.Errorf("a volume is left: %s", volumes)
	}
}

func TestBenchMeasuresAClassOnEachNodeAndLeavesNothing(t *testing.T) {
	t.Parallel()
	p, profile := restricted(t)
	// It keeps its volumes; those of a measurement go nevertheless.
	p.apply(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: kept}
provisioner: loam.storage
parameters: {pool: fast}
volumeBindingMode: WaitForFirstConsumer
reclaimPolicy: Retain
`)
	t.Cleanup(func() { p.try("delete", "storageclass", "kept") })
	p.until("capacity of the class on both nodes", func() (string, bool) {
		k1, k2 := p.capacity("k1", "kept"), p.capacity("k2", "kept")
		return fmt.Sprint(k1, k2), k1 > 1<<30 && k2 > 1<<30
	})
	file := filepath.Join(t.TempDir(), "report.json")
	stdout, stderr, code := p.loam("bench", "pvc", "--storage-class", "kept", "--each-node", "--parallel", "2", "--profile", profile, "--json", file, "-n", p.namespace)
	if code != 0 || !strings.Contains(stdout, "rand-read") {
		p.Fatalf("exit %d: %s%s", code, stdout, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		p.Fatal(err)
	}
	r := p.report(string(text))
	if r.Kind != "claims" || len(r.Stages) != 2 || r.Stages[0].Name != "k1" || r.Stages[1].Name != "k2" {
		p.Fatalf("%+v; want k1 and k2", r)
	}
	for _, s := range r.Stages {
		if len(s.Jobs) != 1 || len(s.Jobs[0].Runs) != 1 || s.Jobs[0].Runs[0].Read.Operations == 0 {
			p.Errorf("%+v; want a run with reads", s)
		}
	}
	p.unclaimed()
}

func TestBenchThatIsInterruptedLeavesNothingAndKeepsWhatThereIs(t *testing.T) {
	t.Parallel()
	p, profile := restricted(t)
	endless := strings.Replace(brief, "repetitions: 1", "repetitions: 1000", 1)
	if err := os.WriteFile(profile, []byte(endless), 0o600); err != nil {
		p.Fatal(err)
	}
	cmd := exec.Command("kubectl", "loam", "bench", "pvc", "--storage-class", "loam", "--profile", profile, "--json", "-", "-n", p.namespace)
	cmd.Env = append(os.Environ(), "PATH="+p.path)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		p.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	p.until("the pod measures", func() (string, bool) {
		out, err := p.try("logs", "--selector", "loam.storage/bench", "--tail=100")
		return out, err == nil && strings.Contains(out, " of 1000")
	})
	// kubectl becomes its plugin (exec), so that this is the plugin's process.
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		p.Fatal(err)
	}
	err := <-ended
	t.Logf("%s%s%v", &stdout, &stderr, err)
	if _, ok := errors.AsType[*exec.ExitError](err); !ok || !strings.Contains(stderr.String(), "interrupted") {
		p.Errorf("%v, %s; want that it was interrupted", err, &stderr)
	}
	r := p.report(stdout.String())
	if len(r.Stages) != 1 || len(r.Stages[0].Jobs) != 1 || len(r.Stages[0].Jobs[0].Runs) == 0 || !slices.Contains(r.Labels, "partial") {
		p.Errorf("%+v; want the repetitions until then, labelled partial", r)
	}
	p.unclaimed()
}

func TestBenchSaysWhatIsWrongAndLeavesNothing(t *testing.T) {
	t.Parallel()
	p, profile := restricted(t)
	bench := func(args ...string) (string, int) {
		_, stderr, code := p.loam(append([]string{"bench", "pvc", "--profile", profile, "-n", p.namespace}, args...)...)
		return stderr, code
	}
	for want, args := range map[string][]string{
		"no such StorageClass: fsat; there are ": {"--storage-class", "fsat"},
		"no such node: k9":                       {"--storage-class", "loam", "--node", "k9"},
	} {
		if stderr, code := bench(args...); code != 3 || !strings.Contains(stderr, want) {
			p.Errorf("%v: exit %d, %s; want 3, and %q", args, code, stderr, want)
		}
	}
	if stderr, code := bench("--storage-class", "loam", "--image", "127.0.0.1:1/none:1"); code != 1 || !strings.Contains(stderr, "ImagePullBackOff") {
		p.Errorf("an image that is nowhere: exit %d, %s", code, stderr)
	}
	if stderr, code := bench("--storage-class", "loam", "--size", "40Gi", "--start-timeout", "5s"); code != 1 || !strings.Contains(stderr, "did not have enough free storage") {
		p.Errorf("a claim that fits nowhere: exit %d, %s", code, stderr)
	}
	p.unclaimed()
}

func TestBenchJobOfTheExamplesGivesATableAndJSON(t *testing.T) {
	t.Parallel()
	p, _ := restricted(t)
	text, err := os.ReadFile("../../../deploy/examples/bench-job.yaml")
	if err != nil {
		p.Fatal(err)
	}
	// As it is, it takes more than a minute.
	p.apply(strings.ReplaceAll(string(text), "--profile, quick, --size, 1Gi,", "--profile, quick, --warm-up, 0s, --runtime, 100ms, --size, 64Mi,"))
	p.kubectl("wait", "--for=condition=complete", "--timeout=180s", "job/loam-bench")
	if table := p.kubectl("logs", "job/loam-bench", "-c", "measure"); !strings.Contains(table, "rand-read-32") || !strings.Contains(table, "IOPS") {
		p.Errorf("%s; want the table", table)
	}
	if r := p.report(p.kubectl("logs", "job/loam-bench")); r.Kind != "target" || len(r.Stages) != 1 || len(r.Stages[0].Jobs) != 8 {
		p.Errorf("%+v; want the report of profile quick", r)
	}
	p.kubectl("delete", "job", "loam-bench", "--cascade=foreground", "--timeout=120s")
	if left := p.kubectl("get", "pods,pvc", "-o", "name"); left != "" {
		p.Errorf("left: %s", left)
	}
}
