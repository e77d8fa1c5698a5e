package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDataSurvivesRestarts(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data", onNode("k1")))
	b.ready("data")
	sum := b.write("data", "/data/file")
	// A restarted kubelet takes the driver up again by itself.
	if err := os.WriteFile(filepath.Join(os.Getenv("LOAM_CLUSTER"), "k1", "restart-kubelet"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.until("the kubelet is restarted", func() (string, bool) {
		_, err := os.Stat(filepath.Join(os.Getenv("LOAM_CLUSTER"), "k1", "restart-kubelet"))
		return "", os.IsNotExist(err)
	})
	b.holds("data", "/data/file", sum)
	// A killed agent, and all agents one after another.
	b.kubectl("--namespace", install, "delete", "pod", b.agent("k1"), "--force", "--grace-period=0")
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
	b.holds("data", "/data/file", sum)
	b.kubectl("--namespace", install, "rollout", "restart", "daemonset/loam-agent")
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=300s")
	b.holds("data", "/data/file", sum)
	b.kubectl("delete", "pod", "data")
	b.apply(pod("data", "data"))
	b.ready("data")
	b.holds("data", "/data/file", sum)
}

func TestDataSurvivesAPowerCutOfItsNode(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data", onNode("k2"), "restartPolicy: Always"))
	b.ready("data")
	sum := b.write("data", "/data/file")
	before := b.kubectl("get", "pod", "data", "-o", "jsonpath={.status.containerStatuses[0].restartCount}")
	b.lever("/nodes/k2/reboot")
	b.until("the pod runs again", func() (string, bool) {
		is, err := b.try("get", "pod", "data", "-o", "jsonpath={.status.containerStatuses[0].restartCount}{.status.containerStatuses[0].ready}")
		return is, err == nil && is != before+"true" && strings.HasSuffix(is, "true")
	})
	b.holds("data", "/data/file", sum)
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
}

func TestAPIServerAwayForAMinute(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data"))
	b.ready("data")
	sum := b.write("data", "/data/file")
	b.lever("/apiserver/stop")
	time.Sleep(time.Minute) // it is the time away that is tested
	b.lever("/apiserver/start")
	b.holds("data", "/data/file", sum)
	b.apply(claim("next", "loam", "256Mi") + pod("next", "next"))
	b.ready("next")
}

func TestAgentsTokenMayWriteItsOwnNodesCapacityAlone(t *testing.T) {
	b := start(t)
	own, other := b.agent("k1"), "k2"
	// As the kubelet asks for it: bound to the pod, and so to its node.
	token := b.kubectl("--namespace", install, "create", "token", "loam-agent", "--bound-object-kind=Pod", "--bound-object-name="+own)
	as := func(args ...string) (string, error) {
		return b.try(append([]string{"--namespace", install, "--token", token, "--kubeconfig", anonymous(b)}, args...)...)
	}
	name := b.kubectl("--namespace", install, "get", "csistoragecapacities", "-l", "loam.storage/node="+other, "-o", "jsonpath={.items[0].metadata.name}")
	if out, err := as("patch", "csistoragecapacity", name, "--type=merge", "-p", `{"capacity":"1Ti"}`); err == nil || !strings.Contains(err.Error(), "nodeTopology must be the matchLabel loam.storage/node: k1") {
		t.Errorf("k1's agent changed what k2 publishes: %s, %v", out, err)
	}
	if out, err := as("delete", "csistoragecapacity", name); err == nil {
		t.Errorf("k1's agent deleted what k2 publishes: %s", out)
	}
	for _, what := range []string{"secrets", "pods", "persistentvolumes", "nodes"} {
		if out, err := as("get", what); err == nil {
			t.Errorf("an agent may list %s: %s", what, out)
		}
	}
}

// anonymous is a kubeconfig without a user.
func anonymous(b bed) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "kubeconfig")
	text := b.kubectl("config", "view", "--raw", "--minify")
	before, _, _ := strings.Cut(text, "users:")
	before = strings.ReplaceAll(before, "user: outside", "user: nobody")
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}
