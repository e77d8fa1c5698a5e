// Package e2e tests Loam on a real Kubernetes, as its users use it: with kubectl, and by the contents of files. `make e2e`
// runs it; it needs a cluster that program test/cluster made.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	install = "loam-system"
	shell   = "registry.k8s.io/e2e-test-images/busybox:1.36.1-1"
	// soon bounds what an idle cluster does in seconds; nodes are slow guests that share two processors.
	soon = 3 * time.Minute
)

// bed is one test with a namespace of its own.
type bed struct {
	*testing.T
	namespace string
	failures  *[]string
}

// Fatal, Fatalf, Error and Errorf are the test's, and their words are said once more at its end, after all that tell says.
func (b bed) Fatal(args ...any)                 { b.Helper(); b.failed(args...); b.T.Fatal(args...) }
func (b bed) Fatalf(format string, args ...any) { b.Helper(); b.Fatal(fmt.Sprintf(format, args...)) }
func (b bed) Error(args ...any)                 { b.Helper(); b.failed(args...); b.T.Error(args...) }
func (b bed) Errorf(format string, args ...any) { b.Helper(); b.Error(fmt.Sprintf(format, args...)) }

func (b bed) failed(why ...any) { *b.failures = append(*b.failures, fmt.Sprint(why...)) }

func start(t *testing.T) bed {
	t.Helper()
	if os.Getenv("LOAM_CLUSTER") == "" {
		t.Skip("needs a cluster: make e2e")
	}
	b := bed{t, "t-" + strings.ToLower(strings.ReplaceAll(t.Name()[4:], "/", "-")), new([]string)}
	if len(b.namespace) > 50 {
		b.namespace = b.namespace[:50]
	}
	b.kubectl("create", "namespace", b.namespace)
	t.Cleanup(func() {
		if t.Failed() {
			b.tell()
		}
		b.end()
		for _, why := range *b.failures {
			b.Logf("failed as said above: %s", why)
		}
	})
	return b
}

// end deletes the test's namespace with all that is in it: what stays takes its room from the tests that follow. A namespace keeps its
// claims until its last pod is gone, and a container runtime that has too much to do may lose a container that it should end.
func (b bed) end() {
	_, err := b.try("delete", "namespace", b.namespace, "--timeout=240s")
	if err == nil {
		return
	}
	b.Logf("pods are deleted by force: %v", err)
	b.try("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=60s")
	if _, err := b.try("delete", "namespace", b.namespace, "--ignore-not-found", "--timeout=120s"); err != nil {
		b.Errorf("what follows has less room: %v", err)
		b.tell()
	}
}

// endPods deletes all pods of the test, a few at a time: of a hundred that end at once, containerd loses one now and then, which then never ends.
func (b bed) endPods() {
	out, err := b.try("get", "pods", "-o", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		b.Log(err)
	}
	for some := range slices.Chunk(strings.Fields(out), 10) {
		if _, err := b.try(append([]string{"delete", "pods", "--ignore-not-found", "--timeout=90s"}, some...)...); err != nil {
			b.Logf("some pods do not end yet: %v", err)
		}
	}
}

// tell logs what a person would look at.
func (b bed) tell() {
	for _, args := range [][]string{
		{"get", "pods,pvc", "-o", "wide"}, {"get", "pv"}, {"get", "events", "--sort-by=.lastTimestamp"},
		{"get", "volumesnapshots", "-o", "yaml"}, {"--namespace", install, "get", "pods", "-o", "wide"},
		{"--namespace", install, "logs", "--selector=app.kubernetes.io/component=agent", "--tail=30", "--prefix"},
		{"--namespace", install, "logs", "deployment/loam-controller", "--all-containers", "--tail=15", "--prefix"},
	} {
		out, err := b.try(args...)
		b.Logf("$ kubectl %s\n%s%v", strings.Join(args, " "), telling(out), err)
	}
	// Of a node that is off or hangs, its own logs are all there is.
	for _, pattern := range []string{"k*.log", "k*/kubelet.log", "k*/containerd.log"} {
		logs, err := filepath.Glob(filepath.Join(os.Getenv("LOAM_CLUSTER"), pattern))
		if err != nil {
			b.Log(err)
		}
		for _, l := range logs {
			text, err := os.ReadFile(l)
			b.Logf("%s ends with\n%s%v", l, telling(string(text)), err)
		}
	}
}

// usual are lines of which a failed test's log would have hundreds: what is as it should be, and a log's mere information.
var usual = regexp.MustCompile(`1/1 +Running| Bound | Normal +(Scheduled|Pull|Creat|Start|Wait|Provision|External)|level=info|^I\d{4} `)

// telling is a text, or what is unusual in a long one.
func telling(text string) string {
	const most = 25
	lines := slices.Collect(strings.Lines(text))
	if len(lines) > most {
		lines = slices.DeleteFunc(lines, usual.MatchString)
	}
	return strings.Join(lines[max(0, len(lines)-most):], "")
}

// try runs kubectl in the test's namespace.
func (b bed) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--namespace", b.namespace}, args...)...)
	if len(args) > 1 && args[0] == "--namespace" {
		cmd = exec.CommandContext(ctx, "kubectl", args...)
	}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, &complaint)
	}
	return strings.TrimRight(string(out), "\n"), nil
}

func (b bed) kubectl(args ...string) string {
	b.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// root is the repository's folder.
const root = "../../.."

// helm runs the Helm that installed Loam, on its release.
func (b bed) helm(args ...string) {
	b.Helper()
	found, err := filepath.Glob(filepath.Join(root, ".cache", "helm", "v*", "helm"))
	if err != nil || len(found) == 0 {
		b.Fatalf("no Helm in .cache/helm: %v", err)
	}
	cmd := exec.CommandContext(b.Context(), found[len(found)-1], append(args, "--namespace", install)...)
	cmd.Env = append(os.Environ(), "HOME="+b.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("helm %q: %v: %s", args, err, out)
	}
}

// apply applies YAML.
func (b bed) apply(text string) {
	b.Helper()
	b.kubectl("apply", "-f", b.file(text))
}

// file is one that holds the text until the test ends.
func (b bed) file(text string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// until waits for a condition, and fails with what was there last. It asks less often of what takes long: each question is a process.
func (b bed) until(what string, holds func() (string, bool)) string {
	b.Helper()
	pause := 250 * time.Millisecond
	for end := time.Now().Add(soon); ; time.Sleep(pause) {
		pause = min(2*time.Second, pause*5/4)
		is, ok := holds()
		if ok {
			return is
		}
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v; it is %.500q", what, soon, is)
		}
	}
}

// field waits until a field of an object has a value; "*" is any.
func (b bed) field(object, path, want string) {
	b.Helper()
	b.until(object+" "+path+" "+want, func() (string, bool) {
		is, err := b.try("get", object, "-o", "jsonpath={"+path+"}")
		if err != nil {
			return err.Error(), false
		}
		return is, is == want || want == "*" && is != ""
	})
}

// ready waits until pods are.
func (b bed) ready(pods ...string) {
	b.Helper()
	for _, p := range pods {
		b.field("pod/"+p, `.status.conditions[?(@.type=="Ready")].status`, "True")
	}
}

// event waits for an event on an object with words in it.
func (b bed) event(object, words string) {
	b.Helper()
	kind, name, _ := strings.Cut(object, "/")
	b.until("event on "+object, func() (string, bool) {
		out, err := b.try("get", "events", "--field-selector", "involvedObject.kind="+kind+",involvedObject.name="+name, "-o", `jsonpath={range .items[*]}{.reason}: {.message}{"\n"}{end}`)
		return out, err == nil && strings.Contains(out, words)
	})
}

// in runs a shell's command in a pod, once the kubelet there answers.
func (b bed) in(pod, command string) string {
	b.Helper()
	var failed error
	out := b.until("a shell in "+pod, func() (out string, ok bool) {
		out, failed = b.try("exec", pod, "--", "sh", "-ec", command)
		if failed != nil && (strings.Contains(failed.Error(), "unable to upgrade connection") || strings.Contains(failed.Error(), "container not found")) {
			return failed.Error(), false
		}
		return out, true
	})
	if failed != nil {
		b.Fatal(failed)
	}
	return out
}

// write puts new contents into a file in a pod, and returns their checksum.
func (b bed) write(pod, file string) string {
	b.Helper()
	return b.in(pod, "head -c 3000000 /dev/urandom > "+file+" && sync "+file+" && sha256sum < "+file)
}

func (b bed) holds(pod, file, sum string) {
	b.Helper()
	if is := b.in(pod, "sha256sum < "+file); is != sum {
		b.Errorf("%s in %s is %s, and %s was written", file, pod, is, sum)
	}
}

// claim is a PersistentVolumeClaim. more is further lines of its spec.
func claim(name, class, size string, more ...string) string {
	modes := "accessModes: [ReadWriteOnce]"
	for _, m := range more {
		if strings.HasPrefix(m, "accessModes") {
			modes = ""
		}
	}
	return fmt.Sprintf(`---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %s}
spec:
  storageClassName: %s
  resources: {requests: {storage: %s}}
  %s
  %s
`, name, class, size, modes, strings.Join(more, "\n  "))
}

// pod uses a claim at /data. more is further lines of its spec.
func pod(name, claim string, more ...string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {app: %s}}
spec:
  terminationGracePeriodSeconds: 1
  %s
  containers:
  - name: main
    image: %s
    command: [sleep, infinity]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: %s}}]
`, name, name, strings.Join(more, "\n  "), shell, claim)
}

func onNode(name string) string { return "nodeSelector: {kubernetes.io/hostname: " + name + "}" }

// loam runs a command of Loam's on a node, and decodes what it prints as JSON.
func (b bed) loam(node string, into any, args ...string) {
	b.Helper()
	agent := b.agent(node)
	out := b.kubectl(append([]string{"--namespace", install, "exec", agent, "--", "loam"}, append(args, "-o", "json")...)...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		b.Fatalf("loam %v: %v: %s", args, err, out)
	}
}

// agent is the name of a node's agent's pod.
func (b bed) agent(node string) string {
	b.Helper()
	return b.kubectl("--namespace", install, "get", "pods", "-l", "app.kubernetes.io/component=agent", "--field-selector", "spec.nodeName="+node, "-o", "jsonpath={.items[0].metadata.name}")
}

// nodeOf is where a pod is.
func (b bed) nodeOf(pod string) string {
	b.Helper()
	return b.kubectl("get", "pod", pod, "-o", "jsonpath={.spec.nodeName}")
}

// capacity is what a node publishes for a class, bytes; -1 if it publishes nothing.
func (b bed) capacity(node, class string) int64 {
	b.Helper()
	out := b.kubectl("--namespace", install, "get", "csistoragecapacities", "-l", "loam.storage/node="+node,
		"-o", `jsonpath={range .items[*]}{.storageClassName} {.capacity}{"\n"}{end}`)
	for line := range strings.Lines(out) {
		name, figure, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != class {
			continue
		}
		q, err := resource.ParseQuantity(figure)
		if err != nil {
			b.Fatalf("capacity of %s on %s: %q: %v", class, node, figure, err)
		}
		return q.Value()
	}
	return -1
}

// lever does what the cluster's own API cannot.
func (b bed) lever(path string) {
	b.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(os.Getenv("LOAM_CLUSTER"), "lever.sock"))
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Post("http://cluster"+path, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, err := io.ReadAll(answer.Body)
		b.Fatalf("%s: %s: %s (%v)", path, answer.Status, why, err)
	}
}

// volumes are the logical names of all volumes and snapshots on a node.
func (b bed) volumes(node string) int {
	b.Helper()
	var all []any
	b.loam(node, &all, "volume", "list", "--snapshots")
	var more []any
	b.loam(node, &more, "volume", "list")
	return len(all) + len(more)
}
