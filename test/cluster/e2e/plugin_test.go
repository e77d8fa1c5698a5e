package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// plugin is kubectl with bin/loam as its plugin, as docs/kubectl-loam.md installs it.
type plugin struct {
	bed
	path string // with the plugin's folder first
}

func (b bed) plugin() plugin {
	b.Helper()
	loam, err := filepath.Abs("../../../bin/loam")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := os.Symlink(loam, filepath.Join(dir, "kubectl-loam")); err != nil {
		b.Fatal(err)
	}
	return plugin{b, dir + string(os.PathListSeparator) + os.Getenv("PATH")}
}

// loam runs `kubectl loam`; its exit code is kubectl's.
func (p plugin) loam(args ...string) (stdout, stderr string, code int) {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"loam"}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+p.path)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		code = ended.ExitCode()
	} else if err != nil {
		p.Fatalf("kubectl loam %v: %v", args, err)
	}
	p.Logf("$ kubectl loam %s\n%s%s[exit %d]", strings.Join(args, " "), &out, &errs, code)
	return out.String(), errs.String(), code
}

// decode runs it with -o json, which must succeed.
func (p plugin) decode(into any, args ...string) {
	p.Helper()
	stdout, stderr, code := p.loam(append(args, "-o", "json")...)
	if code != 0 {
		p.Fatalf("kubectl loam %v: exit %d, %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		p.Fatalf("kubectl loam %v: %v: %s", args, err, stdout)
	}
}

// Parts of what it prints as JSON.
type (
	pluginStatus struct {
		Answered int
		Nodes    []struct{ Node, Severity string }
		Findings []struct{ What string }
	}
	pluginVolume struct {
		ID, Node, Claim, State string
		Pods                   []string
		Size, Used             int64
	}
	pluginExplanation struct {
		Summary string
		Largest *struct {
			Node string
			Size int64
		}
		Nodes []struct {
			Node    string
			Fits    bool
			Reasons []string
		}
	}
)

func TestPluginTellsOfTheWholeCluster(t *testing.T) {
	b := start(t)
	p := b.plugin()
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data", onNode("k1")) + claim("alone", "loam", "256Mi") + claim("huge", "loam", "50Gi") + pod("huge", "huge"))
	b.ready("data")
	p.loam("status")
	var status pluginStatus
	p.decode(&status, "status")
	if status.Answered != 2 || len(status.Nodes) != 2 {
		t.Errorf("%+v; want that two agents of two nodes answered", status)
	}
	for _, n := range status.Nodes {
		if n.Severity == "critical" || n.Severity == "warning" {
			t.Errorf("node %s is not well: %+v", n.Node, status.Findings)
		}
	}
	var disks []struct{ Node, Path, State string }
	p.decode(&disks, "disks", "--node", "k2")
	if !slices.ContainsFunc(disks, func(d struct{ Node, Path, State string }) bool {
		return d == struct{ Node, Path, State string }{"k2", "/dev/ubdc", "taken"}
	}) {
		t.Errorf("the disks of k2 are %+v; want /dev/ubdc taken", disks)
	}
	p.loam("disks")
	p.loam("pools")
	var volumes []pluginVolume
	p.decode(&volumes, "volumes", "--pvc", b.namespace+"/data")
	if len(volumes) != 1 || volumes[0].Node != "k1" || !slices.Equal(volumes[0].Pods, []string{b.namespace + "/data"}) || volumes[0].State != "mounted" || volumes[0].Size != 256<<20 || volumes[0].Used == 0 {
		t.Errorf("the volume of claim data: %+v; want it mounted on k1, with its pod", volumes)
	}
	p.loam("volumes")
	p.explains()
}

// explains asks about claims that wait.
func (p plugin) explains() {
	p.event("Pod/huge", "0/2 nodes are available")
	p.loam("explain", "pvc", p.namespace+"/huge")
	var huge, alone pluginExplanation
	p.decode(&huge, "explain", "pvc", p.namespace+"/huge")
	if huge.Largest == nil || huge.Largest.Size != max(p.capacity("k1", "loam"), p.capacity("k2", "loam")) || !strings.HasPrefix(huge.Summary, "no node has room for 50 GiB: the largest volume that fits is of") {
		p.Errorf("huge: %+v; want the largest that fits", huge)
	}
	p.decode(&alone, "explain", "pvc", p.namespace+"/alone")
	if !strings.HasPrefix(alone.Summary, "no pod uses it yet") || len(alone.Nodes) != 2 || !alone.Nodes[0].Fits || !alone.Nodes[1].Fits {
		p.Errorf("alone: %+v; want that it waits for a pod, and fits on both nodes", alone)
	}
	p.loam("explain", "pvc", p.namespace+"/data")
	if _, stderr, code := p.loam("explain", "pvc", p.namespace+"/none"); code != 3 || !strings.Contains(stderr, "no claim") {
		p.Errorf("a claim that is not there: exit %d, %s", code, stderr)
	}
}

func TestPluginShowsTheRestWhenAnAgentIsAway(t *testing.T) {
	b := start(t)
	p := b.plugin()
	b.kubectl("--namespace", install, "delete", "pod", b.agent("k2"), "--force", "--grace-period=0")
	b.until("k1 alone answers", func() (string, bool) {
		stdout, stderr, code := p.loam("status", "-o", "json")
		var status pluginStatus
		if err := json.Unmarshal([]byte(stdout), &status); err != nil {
			t.Fatalf("%v: %s%s", err, stdout, stderr)
		}
		return stdout + stderr, code == 4 && status.Answered == 1 && status.Nodes[0].Node != "" && len(status.Findings) > 0
	})
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
	b.until("both answer", func() (string, bool) {
		stdout, stderr, code := p.loam("version")
		return stdout + stderr, code == 0 && strings.Contains(stdout, "k1, k2")
	})
}

func TestPluginSaysWhatIsNotPermitted(t *testing.T) {
	b := start(t)
	p := b.plugin()
	b.kubectl("create", "serviceaccount", "guest")
	b.kubectl("--namespace", install, "create", "rolebinding", b.namespace, "--clusterrole=view", "--serviceaccount="+b.namespace+":guest")
	t.Cleanup(func() { b.try("--namespace", install, "delete", "rolebinding", b.namespace) })
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(b.kubectl("config", "view", "--raw", "--flatten")), 0o600); err != nil {
		t.Fatal(err)
	}
	user := b.kubectl("config", "view", "-o", "jsonpath={.contexts[0].context.cluster}")
	for _, args := range [][]string{
		{"set-credentials", "guest", "--token=" + b.kubectl("create", "token", "guest")},
		{"set-context", "guest", "--user=guest", "--cluster=" + user},
	} {
		b.kubectl(append([]string{"config", "--kubeconfig", file}, args...)...)
	}
	stdout, stderr, code := p.loam("status", "--kubeconfig", file, "--context", "guest", "--namespace", install)
	for _, want := range []string{"commands in its pod are not permitted", "auth can-i create pods/exec", "not known: PersistentVolumes", "not known: Nodes", "2 of 2 ready"} {
		if code != 4 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, %s%s\nwant 4, and %q", code, stdout, stderr, want)
		}
	}
}
