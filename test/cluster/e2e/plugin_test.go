package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
	ctx, cancel := context.WithTimeout(context.Background(), soon)
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

// One test, as its parts look at one cluster and the last of them takes an agent away.
func TestPluginTellsOfTheWholeCluster(t *testing.T) {
	b := start(t)
	p := b.plugin()
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data", onNode("k1")) + claim("alone", "loam", "256Mi") + claim("huge", "loam", "50Gi") + pod("huge", "huge"))
	b.ready("data")
	p.isWell()
	p.lists()
	p.explains()
	p.collects()
	p.isRefused()
	p.missesAnAgent()
}

func (p plugin) isWell() {
	p.loam("status")
	var status pluginStatus
	p.decode(&status, "status")
	if status.Answered != 2 || len(status.Nodes) != 2 {
		p.Errorf("%+v; want that two agents of two nodes answered", status)
	}
	for _, n := range status.Nodes {
		if n.Severity == "critical" || n.Severity == "warning" {
			p.Errorf("node %s is not well: %+v", n.Node, status.Findings)
		}
	}
}

func (p plugin) lists() {
	type disk struct{ Node, Path, State string }
	var disks []disk
	p.decode(&disks, "disks", "--node", "k2")
	if !slices.Contains(disks, disk{"k2", "/dev/ubdc", "taken"}) {
		p.Errorf("the disks of k2 are %+v; want /dev/ubdc taken", disks)
	}
	var volumes []pluginVolume
	p.decode(&volumes, "volumes", "--pvc", p.namespace+"/data")
	if len(volumes) != 1 || volumes[0].Node != "k1" || !slices.Equal(volumes[0].Pods, []string{p.namespace + "/data"}) || volumes[0].State != "mounted" || volumes[0].Size != 256<<20 || volumes[0].Used == 0 {
		p.Errorf("the volume of claim data: %+v; want it mounted on k1, with its pod", volumes)
	}
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
	if _, stderr, code := p.loam("explain", "pvc", p.namespace+"/none"); code != 3 || !strings.Contains(stderr, "no claim") {
		p.Errorf("a claim that is not there: exit %d, %s", code, stderr)
	}
}

// collects writes a bundle, which must have the agents' reports and logs in it, and nothing of any Secret of Loam's.
func (p plugin) collects() {
	file := filepath.Join(p.TempDir(), "loam.tar.gz")
	if _, stderr, code := p.loam("collect", "--output-file", file); code != 0 {
		p.Fatalf("collect: exit %d, %s", code, stderr)
	}
	files := p.unpack(file)
	for name, want := range map[string]string{
		"loam/agents/k1.json": p.namespace + "/data", "loam/configuration.yaml": "name: fast", "loam/events.json": "ProvisioningSucceeded",
		"loam/logs/" + p.agent("k2") + "/agent.log": "level=", "loam/gaps.json": "[]",
	} {
		if !strings.Contains(files[name], want) {
			p.Errorf("%s: %.300q; want %q", name, files[name], want)
		}
	}
	var secrets struct {
		Items []struct{ Data map[string][]byte }
	}
	if err := json.Unmarshal([]byte(p.kubectl("--namespace", install, "get", "secrets", "-o", "json")), &secrets); err != nil || len(secrets.Items) == 0 {
		p.Fatalf("Loam's Secrets: %v", err)
	}
	never := []string{"PRIVATE KEY", "managedFields", "eyJhbGciOi"} // the last begins every token of a service account
	for _, s := range secrets.Items {
		for key, value := range s.Data {
			if lines := strings.Split(string(value), "\n"); strings.HasSuffix(key, ".key") && len(lines) > 1 {
				never = append(never, lines[1], base64.StdEncoding.EncodeToString(value)[:60])
			}
		}
	}
	for name, content := range files {
		for _, secret := range never {
			if strings.Contains(content, secret) {
				p.Errorf("%s has %.12q… in it", name, secret)
			}
		}
	}
}

// unpack are the files of a bundle.
func (p plugin) unpack(file string) map[string]string {
	archive, err := os.Open(file)
	if err != nil {
		p.Fatal(err)
	}
	defer archive.Close()
	compressed, err := gzip.NewReader(archive)
	if err != nil {
		p.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(compressed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			p.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			p.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

// isRefused asks as somebody who may look at Loam's namespace alone, and run no commands there.
func (p plugin) isRefused() {
	p.kubectl("create", "serviceaccount", "guest")
	p.kubectl("--namespace", install, "create", "rolebinding", p.namespace, "--clusterrole=view", "--serviceaccount="+p.namespace+":guest")
	p.Cleanup(func() { p.try("--namespace", install, "delete", "rolebinding", p.namespace) })
	file := p.file(p.kubectl("config", "view", "--raw", "--flatten"))
	in := p.kubectl("config", "view", "-o", "jsonpath={.contexts[0].context.cluster}")
	p.kubectl("config", "--kubeconfig", file, "set-credentials", "guest", "--token="+p.kubectl("create", "token", "guest"))
	p.kubectl("config", "--kubeconfig", file, "set-context", "guest", "--user=guest", "--cluster="+in)
	stdout, stderr, code := p.loam("status", "--kubeconfig", file, "--context", "guest", "--loam-namespace", install)
	for _, want := range []string{"commands in its pod are not permitted to you", "auth can-i create pods/exec", "not known: PersistentVolumes", "not known: Nodes", "2 of 2 ready"} {
		if code != 4 || !strings.Contains(stdout, want) {
			p.Errorf("exit %d, %s%s\nwant 4, and %q", code, stdout, stderr, want)
		}
	}
}

// missesAnAgent takes the one of k2 away, which its DaemonSet replaces within seconds.
func (p plugin) missesAnAgent() {
	p.kubectl("--namespace", install, "delete", "pod", p.agent("k2"), "--force", "--grace-period=0")
	p.until("k1 alone answers", func() (string, bool) {
		stdout, stderr, code := p.loam("status", "-o", "json")
		var status pluginStatus
		if err := json.Unmarshal([]byte(stdout), &status); err != nil {
			p.Fatalf("%v: %s%s", err, stdout, stderr)
		}
		return stdout + stderr, code == 4 && status.Answered == 1 && len(status.Findings) > 0
	})
	p.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
}
