package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
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
	b.lever("/nodes/k1/restart-kubelet")
	b.holds("data", "/data/file", sum)
	// A killed agent, and all agents one after another.
	b.kubectl("--namespace", install, "delete", "pod", b.agent("k1"), "--force", "--grace-period=0")
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
	b.holds("data", "/data/file", sum)
	// Writers do not notice an upgrade and its rollback, and a pod that comes meanwhile gets its volume.
	b.in("data", "(while sleep 0.2; do date >> /data/busy || touch /dev/shm/failed; done) >/dev/null 2>&1 &")
	b.helm("upgrade", "loam", filepath.Join(root, "deploy", "helm", "loam"), "--reuse-values", "--set", "agent.resources.requests.cpu=11m") // the agents' pods alone
	b.apply(claim("meanwhile", "loam", "256Mi") + pod("meanwhile", "meanwhile"))
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=300s")
	b.ready("meanwhile")
	b.write("meanwhile", "/data/file")
	if failed := b.in("data", "test -s /data/busy; ls /dev/shm"); failed != "" {
		b.Error("a write failed while the agents were upgraded")
	}
	b.helm("rollback", "loam")
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=300s")
	if cpu := b.kubectl("--namespace", install, "get", "daemonset/loam-agent", "-o", "jsonpath={.spec.template.spec.containers[0].resources.requests.cpu}"); cpu != "10m" {
		b.Errorf("after the rollback agents ask for %s of a processor", cpu)
	}
	if failed := b.in("data", "ls /dev/shm"); failed != "" {
		b.Error("a write failed while the agents were rolled back")
	}
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
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data") +
		claim("restless", "loam", "256Mi") + strings.Replace(pod("restless", "restless"), "[sleep, infinity]", `[sh, -c, "date >> /data/starts; sync; sleep 15"]`, 1))
	b.ready("data", "restless")
	sum := b.write("data", "/data/file")
	starts := func() (n int) {
		_, err := fmt.Sscan(b.in("restless", "wc -l < /data/starts"), &n)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	before := starts()
	capacity := b.capacity("k1", "loam") + b.capacity("k2", "loam")
	b.lever("/apiserver/stop")
	time.Sleep(time.Minute) // it is the time away that is tested
	b.lever("/apiserver/start")
	b.holds("data", "/data/file", sum)
	if after := starts(); after <= before {
		b.Errorf("a pod that ends every 15 s has started %d times after a minute, as before it", after)
	}
	if is := b.capacity("k1", "loam") + b.capacity("k2", "loam"); is != capacity {
		b.Errorf("%d bytes are published after the outage and %d were before it", is, capacity)
	}
	b.apply(claim("next", "loam", "256Mi") + pod("next", "next"))
	b.ready("next")
}

func TestNodeIsDeletedFromTheCluster(t *testing.T) {
	b := start(t)
	b.apply(claim("lost", "loam", "256Mi") + pod("lost", "lost", onNode("k2")))
	b.ready("lost")
	volume := b.kubectl("get", "pvc", "lost", "-o", "jsonpath={.spec.volumeName}")
	handle := b.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.csi.volumeHandle}")
	sum := b.write("lost", "/data/file")
	b.lever("/nodes/k2/off")
	b.kubectl("delete", "node", "k2")
	b.until("no capacity of a node that is gone", func() (string, bool) { is := b.capacity("k2", "loam"); return fmt.Sprint(is), is < 0 })
	// Its volumes can be given up: claims and pods do not hang.
	b.kubectl("delete", "pod", "lost", "--force", "--grace-period=0")
	b.kubectl("delete", "pvc", "lost", "--timeout=120s")
	b.until("the volume's record is gone", func() (string, bool) {
		out, err := b.try("get", "pv", volume, "--ignore-not-found")
		return out, err == nil && out == ""
	})
	// What had a place there gets another.
	b.apply(claim("next", "loam", "256Mi") + pod("next", "next"))
	b.ready("next")
	// The node comes back with its disks, and a person gives the volume to a claim again (docs/install.md).
	b.agentsOn(`"k1"`)
	t.Cleanup(func() { b.agentsOn("null") })
	b.until("no agent's pod where no node is", func() (string, bool) {
		out, err := b.try("--namespace", install, "get", "pods", "--field-selector", "spec.nodeName=k2", "-l", "app.kubernetes.io/component=agent", "-o", "name")
		return out, err == nil && out == ""
	})
	b.lever("/nodes/k2/on")
	b.field("node/k2", `.status.conditions[?(@.type=="Ready")].status`, "True")
	b.apply(fmt.Sprintf(`apiVersion: v1
kind: PersistentVolume
metadata: {name: found, annotations: {pv.kubernetes.io/provisioned-by: loam.storage}}
spec:
  capacity: {storage: 256Mi}
  accessModes: [ReadWriteOnce]
  storageClassName: loam
  persistentVolumeReclaimPolicy: Delete
  csi: {driver: loam.storage, volumeHandle: %s, fsType: ext4}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: loam.storage/node, operator: In, values: [k2]}]}]}}
`, handle))
	b.apply(claim("found", "loam", "256Mi", "volumeName: found") + pod("found", "found", onNode("k2")))
	// The pod has come before the agent, and starts once the agent has registered, not five minutes later (decision 46).
	b.until("the pod waits for the agent", func() (string, bool) {
		out, err := b.try("get", "pod", "found", "-o", "jsonpath={.status.conditions[*].message}")
		return out, err == nil && strings.Contains(out, "loam.storage CSI driver is not installed on the node")
	})
	b.agentsOn("null")
	b.until("capacity of a node that is back", func() (string, bool) { is := b.capacity("k2", "loam"); return fmt.Sprint(is), is > 1<<30 })
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
	b.kubectl("--namespace", install, "rollout", "status", "deployment/loam-controller", "--timeout=180s")
	var all []struct{ ID, Name string }
	b.loam("k2", &all, "volume", "list")
	if !slices.ContainsFunc(all, func(v struct{ ID, Name string }) bool { return v.ID == handle && v.Name == volume }) {
		b.Fatalf("%s is not among the volumes of a node that came back: %v", volume, all)
	}
	b.ready("found")
	b.holds("found", "/data/file", sum)
	b.kubectl("delete", "pod", "found")
	b.kubectl("delete", "pvc", "found")
	b.until("the volume is gone", func() (string, bool) {
		b.loam("k2", &all, "volume", "list")
		return fmt.Sprint(all), !slices.ContainsFunc(all, func(v struct{ ID, Name string }) bool { return v.Name == volume })
	})
	b.apply(claim("after", "loam", "256Mi") + pod("after", "after", onNode("k2")))
	b.ready("after")
}

// agentsOn has agents run on one node, whose name is in quotes, or on all again for null.
func (b bed) agentsOn(node string) {
	b.Helper()
	b.kubectl("--namespace", install, "patch", "daemonset", "loam-agent", "--type=merge", "-p", `{"spec":{"template":{"spec":{"nodeSelector":{"kubernetes.io/hostname":`+node+`}}}}}`)
}

// Runbooks have people change volume groups in the agent's container, whose root file system is read-only.
func TestLVMsCommandsChangeWhatTheyShouldInTheAgentsContainer(t *testing.T) {
	b := start(t)
	for _, change := range []string{"--addtag", "--deltag"} {
		b.kubectl("--namespace", install, "exec", b.agent("k1"), "--", "vgchange", change, "typed-by-a-person", "loam-bulk")
	}
}

func TestWrongConfigurationIsToldAndTheLastGoodOneStays(t *testing.T) {
	b := start(t)
	good := b.kubectl("--namespace", install, "get", "configmap", "loam", "-o", `jsonpath={.data.config\.yaml}`)
	set := func(text string) {
		patch, err := json.Marshal(map[string]any{"data": map[string]string{"config.yaml": text}})
		if err != nil {
			b.Fatal(err)
		}
		b.kubectl("--namespace", install, "patch", "configmap", "loam", "--type=merge", "-p", string(patch))
	}
	t.Cleanup(func() { set(good) })
	set(good + "\nstopat: 95%\n")
	agent := b.agent("k1")
	b.until("an event on the node", func() (string, bool) {
		out, err := b.try("--namespace", "default", "get", "events", "--field-selector", "involvedObject.kind=Node,reason=LoamConfigurationNotUsed", "-o", "jsonpath={range .items[*]}{.involvedObject.name}: {.message}{\"\\n\"}{end}")
		return out, err == nil && strings.Contains(out, "k1: ") && strings.Contains(out, "stopat")
	})
	b.until("pools are listed with what is wrong", func() (string, bool) {
		out, err := exec.Command("kubectl", "--namespace", install, "exec", agent, "--", "loam", "pool", "list").CombinedOutput()
		return string(out), err == nil && strings.Contains(string(out), "stopat") && strings.Contains(string(out), "fast")
	})
	b.apply(claim("data", "loam", "128Mi") + pod("data", "data", onNode("k1")))
	b.ready("data")
	// An agent that starts with it serves as the one before it.
	b.kubectl("--namespace", install, "delete", "pod", agent)
	b.kubectl("--namespace", install, "rollout", "status", "daemonset/loam-agent", "--timeout=180s")
	b.apply(claim("next", "loam", "128Mi") + pod("next", "next", onNode("k1")))
	b.ready("next")
}

// The kernel is told to find an error in the file system (Documentation/ABI/testing/sysfs-fs-ext4, trigger_fs_error).
func TestWhatIsWrongWithAVolumeIsToldOnItsClaimAndItsPod(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + strings.Replace(pod("data", "data", onNode("k1")), "    command:", "    securityContext: {privileged: true}\n    command:", 1) +
		claim("well", "loam", "256Mi") + pod("well", "well", onNode("k1")))
	b.ready("data", "well")
	b.in("data", `device=$(readlink /sys/dev/block/$(mountpoint --fs-devno /data)); echo 1 > /sys/fs/ext4/${device##*/}/trigger_fs_error`)
	volume := b.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
	says := "FileSystemFailed: volume k1/" + volume + ": its file system has found errors"
	b.event("PersistentVolumeClaim/data", says)
	b.event("Pod/data", says)
	if out := b.kubectl("get", "events", "--field-selector", "involvedObject.name=well", "-o", "jsonpath={.items[*].reason}"); strings.Contains(out, "FileSystemFailed") {
		b.Errorf("of a volume with which nothing is wrong is told: %s", out)
	}
	b.kubectl("delete", "pod", "data")
	b.event("PersistentVolumeClaim/data", "FileSystemFailedOver: volume k1/"+volume)
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
		b.Errorf("k1's agent changed what k2 publishes: %s, %v", out, err)
	}
	if out, err := as("delete", "csistoragecapacity", name); err == nil {
		b.Errorf("k1's agent deleted what k2 publishes: %s", out)
	}
	for _, what := range []string{"secrets", "pods", "persistentvolumes", "nodes"} {
		if out, err := as("get", what); err == nil {
			b.Errorf("an agent may list %s: %s", what, out)
		}
	}
}

// anonymous is a kubeconfig without a user.
func anonymous(b bed) string {
	b.Helper()
	text := b.kubectl("config", "view", "--raw", "--minify")
	before, _, _ := strings.Cut(text, "users:")
	before = strings.ReplaceAll(before, "user: outside", "user: nobody")
	return b.file(before)
}
