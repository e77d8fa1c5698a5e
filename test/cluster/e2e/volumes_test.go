package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestStatefulSetGetsItsVolumes(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.kubectl("apply", "-f", "../../../deploy/examples/statefulset.yaml")
	b.kubectl("rollout", "status", "statefulset/ledger", "--timeout=180s")
	nodes := b.kubectl("get", "pods", "-l", "app=ledger", "-o", "jsonpath={.items[*].spec.nodeName}")
	if !strings.Contains(nodes, "k1") || !strings.Contains(nodes, "k2") {
		t.Errorf("the pods are on %s; they should spread", nodes)
	}
	sum := b.write("ledger-0", "/data/kept")
	b.kubectl("delete", "pod", "ledger-0")
	b.kubectl("rollout", "status", "statefulset/ledger", "--timeout=180s")
	b.holds("ledger-0", "/data/kept", sum)
	if owner := b.in("ledger-0", "stat -c %g /data"); owner != "1000" {
		t.Errorf("the volume's group is %s; fsGroup is 1000", owner)
	}
}

func TestPodThatFitsNowhereWaitsAndItsClaimSaysWhy(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(claim("large", "loam", "50Gi") + pod("large", "large"))
	b.event("Pod/large", "did not have enough free storage")
	b.event("PersistentVolumeClaim/large", "no node has room for a volume of 50Gi")
}

func TestClaimOfAPoolThatNoNodeHasSaysSo(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: typo}
provisioner: loam.storage
parameters: {pool: fsat}
volumeBindingMode: WaitForFirstConsumer
`)
	t.Cleanup(func() { b.try("delete", "storageclass", "typo") })
	b.apply(claim("data", "typo", "1Gi") + pod("data", "data"))
	b.event("PersistentVolumeClaim/data", `no node has the pool "fsat"`)
}

func TestFullNodeIsAvoided(t *testing.T) {
	b := start(t)
	b.apply(claim("filler", "loam", "4Gi") + pod("filler", "filler", onNode("k1")))
	b.ready("filler")
	b.apply(claim("next", "loam", "3Gi") + pod("next", "next"))
	b.ready("next")
	if on := b.kubectl("get", "pod", "next", "-o", "jsonpath={.spec.nodeName}"); on != "k2" {
		t.Errorf("the pod is on %s, where there is no room", on)
	}
}

func TestVolumeGrowsWhileItIsWritten(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data"))
	b.ready("data")
	sum := b.write("data", "/data/before")
	b.in("data", "(while :; do dd if=/dev/zero of=/data/busy bs=64k count=64 conv=fsync 2>/dev/null; done) >/dev/null 2>&1 & echo $!")
	b.kubectl("patch", "pvc", "data", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`)
	b.field("pvc/data", ".status.capacity.storage", "1Gi")
	b.until("the file system is larger", func() (string, bool) {
		size := b.in("data", "df -m --output=size /data | tail -1")
		return size, len(strings.TrimSpace(size)) > 2 && strings.TrimSpace(size) > "900"
	})
	b.holds("data", "/data/before", sum)
}

func TestExpansionBeyondTheRoomIsToldAndCanBeTakenBack(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data"))
	b.ready("data")
	sum := b.write("data", "/data/file")
	b.kubectl("patch", "pvc", "data", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"40Gi"}}}}`)
	b.event("PersistentVolumeClaim/data", "VolumeResizeFailed")
	b.kubectl("patch", "pvc", "data", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"512Mi"}}}}`)
	b.field("pvc/data", ".status.capacity.storage", "512Mi")
	b.holds("data", "/data/file", sum)
}

func TestSnapshotIsRestoredAndVolumeIsCloned(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(claim("data", "loam", "256Mi") + pod("data", "data"))
	b.ready("data")
	sum := b.write("data", "/data/file")
	b.apply(`apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: loam}
driver: loam.storage
deletionPolicy: Delete
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: monday}
spec: {volumeSnapshotClassName: loam, source: {persistentVolumeClaimName: data}}
`)
	b.field("volumesnapshot/monday", ".status.readyToUse", "true")
	changed := b.write("data", "/data/file")
	b.apply(claim("restored", "loam", "512Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: monday}") +
		pod("restored", "restored") +
		claim("cloned", "loam", "256Mi", "dataSource: {kind: PersistentVolumeClaim, name: data}") + pod("cloned", "cloned"))
	b.ready("restored", "cloned")
	b.holds("restored", "/data/file", sum)
	b.holds("cloned", "/data/file", changed)
	b.holds("data", "/data/file", changed)
	b.kubectl("delete", "volumesnapshot", "monday", "--timeout=60s")
	b.holds("restored", "/data/file", sum)
}

func TestRawBlockVolumeHoldsWhatIsWrittenAndGrows(t *testing.T) {
	t.Parallel()
	b := start(t)
	device := strings.Replace(pod("block", "block"), "volumeMounts: [{name: data, mountPath: /data}]", "volumeDevices: [{name: data, devicePath: /dev/data}]", 1)
	b.apply(claim("block", "loam", "256Mi", "volumeMode: Block") + device)
	b.ready("block")
	sum := b.in("block", "head -c 3000000 /dev/urandom > /dev/shm/x && dd if=/dev/shm/x of=/dev/data conv=fsync 2>/dev/null && sha256sum < /dev/shm/x")
	b.kubectl("patch", "pvc", "block", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"512Mi"}}}}`)
	b.field("pvc/block", ".status.capacity.storage", "512Mi")
	if is := b.in("block", "head -c 3000000 /dev/data | sha256sum"); is != sum {
		t.Errorf("the device holds %s, and %s was written", is, sum)
	}
	b.until("the device is larger", func() (string, bool) {
		size := b.in("block", "blockdev --getsize64 /dev/data")
		return size, size == "536870912"
	})
}

func TestEphemeralReadOnlyOncePodAndXFS(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(`apiVersion: v1
kind: Pod
metadata: {name: ephemeral}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "` + shell + `", command: [sleep, infinity], volumeMounts: [{name: data, mountPath: /data}]}]
  volumes:
  - name: data
    ephemeral: {volumeClaimTemplate: {spec: {storageClassName: loam, accessModes: [ReadWriteOnce], resources: {requests: {storage: 128Mi}}}}}
` + claim("once", "loam", "128Mi", "accessModes: [ReadWriteOncePod]") + pod("once", "once"))
	b.ready("ephemeral", "once")
	b.write("ephemeral", "/data/file")
	b.apply(pod("second", "once"))
	b.event("Pod/second", "ReadWriteOncePod")
	sum := b.write("once", "/data/file")
	b.kubectl("delete", "pod", "once", "second", "ephemeral", "--timeout=120s")
	b.until("the ephemeral claim is gone", func() (string, bool) {
		out, err := b.try("get", "pvc", "ephemeral-data", "--ignore-not-found")
		return out, err == nil && out == ""
	})
	b.apply(strings.Replace(pod("reader", "once"), "mountPath: /data}", "mountPath: /data, readOnly: true}", 1))
	b.ready("reader")
	b.holds("reader", "/data/file", sum)
	if out, err := b.try("exec", "reader", "--", "touch", "/data/new"); err == nil {
		t.Errorf("a read-only volume was written to: %s", out)
	}
}

func TestReclaimPolicies(t *testing.T) {
	b := start(t)
	before := b.volumes("k1") + b.volumes("k2")
	b.apply(claim("gone", "loam", "128Mi") + pod("gone", "gone") + claim("kept", "loam", "128Mi") + pod("kept", "kept"))
	b.ready("gone", "kept")
	volume := b.kubectl("get", "pvc", "kept", "-o", "jsonpath={.spec.volumeName}")
	b.kubectl("patch", "pv", volume, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}`)
	b.kubectl("delete", "pod", "gone", "kept")
	b.kubectl("delete", "pvc", "gone", "kept")
	b.until("one volume is left", func() (string, bool) {
		is := b.volumes("k1") + b.volumes("k2") - before
		return strings.Repeat("|", max(is, 0)), is == 1
	})
	b.field("pv/"+volume, ".status.phase", "Released")
	b.kubectl("patch", "pv", volume, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	b.until("none is left", func() (string, bool) {
		is := b.volumes("k1") + b.volumes("k2") - before
		return strings.Repeat("|", max(is, 0)), is == 0
	})
}

func TestImmediateBindingGoesToTheNodeWithMostRoom(t *testing.T) {
	b := start(t)
	b.apply(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: immediate}
provisioner: loam.storage
parameters: {pool: fast}
volumeBindingMode: Immediate
`)
	t.Cleanup(func() { b.try("delete", "storageclass", "immediate") })
	b.apply(claim("filler", "loam", "3Gi") + pod("filler", "filler", onNode("k2")))
	b.ready("filler")
	b.apply(claim("data", "immediate", "1Gi"))
	b.field("pvc/data", ".status.phase", "Bound")
	volume := b.kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
	if on := b.kubectl("get", "pv", volume, "-o", "jsonpath={.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[0].values[0]}"); on != "k1" {
		t.Errorf("the volume is on %s; k1 has more room", on)
	}
	b.apply(pod("user", "data"))
	b.ready("user")
	b.write("user", "/data/file")
}

func TestDeletedWhileItIsMadeLeavesNothing(t *testing.T) {
	b := start(t)
	before := b.volumes("k1") + b.volumes("k2")
	for _, wait := range []time.Duration{0, 700 * time.Millisecond, 2 * time.Second} {
		b.apply(claim("data", "loam", "256Mi") + pod("data", "data"))
		time.Sleep(wait)
		b.kubectl("delete", "pod", "data", "--force", "--grace-period=0")
		b.kubectl("delete", "pvc", "data", "--timeout=120s")
	}
	b.until("nothing is left", func() (string, bool) {
		is := b.volumes("k1") + b.volumes("k2") - before
		return strings.Repeat("|", max(is, 0)), is == 0
	})
}
