package e2e

import (
	"fmt"
	"strings"
	"testing"
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
		t.Errorf("the pod is on %s, where its claims do not fit together", on)
	}
	if why := b.refused(); why != "" {
		t.Errorf("volumes were refused on the way: %s", why)
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
		t.Errorf("the restore was tried elsewhere: %s", why)
	}
}

// A node takes some eleven of these, and there are two nodes.
func TestExtenderPlacesABurstThatNearlyFillsTheNodes(t *testing.T) {
	b := start(t)
	var all string
	var pods []string
	for n := range 20 {
		name := fmt.Sprintf("b%02d", n)
		pods = append(pods, name)
		all += claim(name, "loam", "500Mi") + pod(name, name, asked)
	}
	b.apply(all)
	b.ready(pods...)
	if why := b.refused(); why != "" {
		t.Errorf("volumes were refused on the way: %s", why)
	}
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
		t.Errorf("the extender was not asked: %s", log[max(0, len(log)-2000):])
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
