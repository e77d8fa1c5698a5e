package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// asked is for pods that the kube-scheduler places which asks Loam's extender.
const asked = "schedulerName: loam-scheduler"

// refused are the events on claims that say that a volume could not be made.
func (b bed) refused() string {
	b.Helper()
	return b.kubectl("get", "events", "--field-selector", "involvedObject.kind=PersistentVolumeClaim,reason=ProvisioningFailed", "-o", "jsonpath={.items[*].message}")
}

func TestExtenderPlacesAPodWhereAllOfItsClaimsFit(t *testing.T) {
	b := start(t)
	b.apply(claim("filler", "loam", "2500Mi") + pod("filler", "filler", onNode("k1"))) // leaves k1 room for either, not for both
	b.ready("filler")
	two := `---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  ` + asked + `
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: ` + shell + `, command: [sleep, infinity], volumeMounts: [{name: a, mountPath: /data}, {name: b, mountPath: /more}]}]
  volumes: [{name: a, persistentVolumeClaim: {claimName: a}}, {name: b, persistentVolumeClaim: {claimName: b}}]
`
	b.apply(claim("a", "loam", "2200Mi") + claim("b", "loam", "2200Mi") + two)
	b.ready("two")
	if on := b.nodeOf("two"); on != "k2" {
		b.Errorf("the pod is on %s, where its claims do not fit together", on)
	}
	if why := b.refused(); why != "" {
		b.Errorf("volumes were refused on the way: %s", why)
	}
}

func TestExtenderPlacesARestoreWhereItsSnapshotIs(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "512Mi") + pod("data", "data", onNode("k1")))
	b.ready("data")
	sum := b.write("data", "/data/file")
	b.apply(claim("filler", "loam", "2Gi") + pod("filler", "filler", onNode("k1")) + `---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: loam-placed}
driver: loam.storage
deletionPolicy: Delete
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: monday}
spec: {volumeSnapshotClassName: loam-placed, source: {persistentVolumeClaimName: data}}
`)
	t.Cleanup(func() { b.try("delete", "volumesnapshotclass", "loam-placed") })
	b.ready("filler") // so that k2 has more room, and would come first
	b.field("volumesnapshot/monday", ".status.readyToUse", "true")
	b.apply(claim("restored", "loam", "512Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: monday}") +
		pod("restored", "restored", asked))
	b.ready("restored")
	b.holds("restored", "/data/file", sum)
	if why := b.refused(); why != "" {
		b.Errorf("the restore was tried elsewhere: %s", why)
	}
}

// What each node has for a burst is a pool of its own, so large that what it publishes is rounded down to less than one of the
// volumes: kube-scheduler's own check, which goes by that, would leave the last ones of a small pool no node.
const (
	burstPods  = 100
	burstClass = "loam-large"
	// A pod of a burst has no network and no token of its own, whose set-up costs a guest more than a volume does.
	burstPod = "hostNetwork: true\n  automountServiceAccountToken: false"
)

// large makes a StorageClass of the pool that only bursts use, and finds the size of claims of which both nodes together have room
// for exactly burstPods.
func (b bed) large() (size string) {
	b.Helper()
	b.apply(`---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: ` + burstClass + `}
provisioner: loam.storage
parameters: {pool: large}
volumeBindingMode: WaitForFirstConsumer
`)
	b.Cleanup(func() { b.try("delete", "storageclass", burstClass) })
	const mib, extent, each = 1 << 20, 4 << 20, burstPods / 2
	room := min(b.room("k1", burstClass), b.room("k2", burstClass))
	bytes := room * 10 / (10*each + 9) / extent * extent // nearly one more
	for _, node := range []string{"k1", "k2"} {
		if is := b.room(node, burstClass); is/bytes != each {
			b.Fatalf("%s has room for %d claims of %d bytes, want %d", node, is/bytes, bytes, each)
		}
	}
	return fmt.Sprintf("%dMi", bytes/mib)
}

// room is what a node has for a class, to the byte, once it says so.
func (b bed) room(node, class string) (bytes int64) {
	b.Helper()
	b.until("room of "+class+" on "+node, func() (string, bool) {
		out, err := b.try("--namespace", install, "get", "csistoragecapacities", "-l", "loam.storage/node="+node,
			"-o", `jsonpath={range .items[*]}{.storageClassName} {.metadata.annotations.loam\.storage/room}{"\n"}{end}`)
		bytes = 0
		for line := range strings.Lines(out) {
			of, text, _ := strings.Cut(line, " ")
			var pools map[string]struct{ Available int64 }
			if of != class || json.Unmarshal([]byte(text), &pools) != nil {
				continue
			}
			for _, p := range pools {
				bytes += p.Available
			}
		}
		return out, err == nil && bytes > 0
	})
	return bytes
}

// running waits until so many pods are ready, for as long as there are more and more of them. It asks seldom: what it asks with takes its
// time from the nodes.
func (b bed) running(pods int) {
	b.Helper()
	most := 0
	for end := time.Now().Add(soon); most < pods; time.Sleep(5 * time.Second) {
		out, err := b.try("get", "pods", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		if is := strings.Count(out, "True"); is > most {
			most, end = is, time.Now().Add(soon)
		}
		if time.Now().After(end) {
			b.Fatalf("%d of %d pods are ready, and no more within %v (%v)", most, pods, soon, err)
		}
	}
}

func TestExtenderPlacesABurstThatFillsTheNodes(t *testing.T) {
	b := start(t)
	size := b.large()
	var all string
	for n := range burstPods {
		name := fmt.Sprintf("b%02d", n)
		all += claim(name, burstClass, size) + pod(name, name, asked, burstPod)
	}
	t.Cleanup(b.endPods)
	b.apply(all)
	b.running(burstPods)
	if why := b.refused(); why != "" {
		b.Errorf("volumes were refused on the way: %s", why)
	}
	b.apply(claim("more", burstClass, size) + pod("more", "more", asked))
	b.event("Pod/more", "0/2 nodes are available")
}

func TestPodsArePlacedWithoutTheExtender(t *testing.T) {
	b := start(t)
	b.lever("/extender/stop")
	t.Cleanup(func() { b.lever("/extender/start") })
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data", asked))
	b.ready("data")
}

func TestExtenderSaysWhyAPodFitsNowhere(t *testing.T) {
	b := start(t)
	b.apply(claim("huge", "loam", "50Gi") + pod("huge", "huge", asked))
	b.event("Pod/huge", "0/2 nodes are available")
}

// The chart's own kube-scheduler is in the extender's pod, and asks it there.
func TestSchedulerOfTheChartPlacesPods(t *testing.T) {
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("in-pod", "data", "schedulerName: loam-scheduler-in-pod"))
	b.ready("in-pod")
	log := b.kubectl("--namespace", "loam-system", "logs", "deployment/loam-scheduler-extender", "--container", "scheduler-extender")
	if !strings.Contains(log, "/in-pod ") {
		b.Errorf("the extender was not asked: %s", log[max(0, len(log)-2000):])
	}
}

func TestExtenderSaysThatAClassIsOnNoNode(t *testing.T) {
	b := start(t)
	b.apply(`---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: loam-nowhere}
provisioner: loam.storage
parameters: {pool: nowhere}
volumeBindingMode: WaitForFirstConsumer
` + claim("data", "loam-nowhere", "256Mi") + pod("lost", "data", asked))
	t.Cleanup(func() { b.try("delete", "storageclass", "loam-nowhere") })
	b.event("Pod/lost", "0/2 nodes are available")
}
