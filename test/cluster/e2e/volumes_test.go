package e2e

import (
	"fmt"
	"slices"
	"strconv"
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
		b.Errorf("the pods are on %s; they should spread", nodes)
	}
	sum := b.write("ledger-0", "/data/kept")
	b.kubectl("delete", "pod", "ledger-0")
	b.kubectl("rollout", "status", "statefulset/ledger", "--timeout=180s")
	b.holds("ledger-0", "/data/kept", sum)
	if owner := b.in("ledger-0", "stat -c %g /data"); owner != "1000" {
		b.Errorf("the volume's group is %s; fsGroup is 1000", owner)
	}
}

func TestReplicaThatFitsNowhereWaitsWithTheReason(t *testing.T) {
	b := start(t)
	b.apply(claim("filler", "loam", "2500Mi") + pod("filler", "filler", onNode("k1")))
	b.ready("filler")
	b.apply(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 4
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "` + shell + `", command: [sleep, infinity], volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {storageClassName: loam, accessModes: [ReadWriteOnce], resources: {requests: {storage: 2500Mi}}}
`)
	// Two volumes of that size fit on a node: one more on k1, and two on k2.
	b.ready("db-0", "db-1", "db-2")
	var nodes []string
	for _, p := range []string{"db-0", "db-1", "db-2"} {
		nodes = append(nodes, b.nodeOf(p))
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"k1", "k2", "k2"}) {
		b.Errorf("the pods are on %v; there is room for one on k1 and two on k2", nodes)
	}
	b.event("Pod/db-3", "did not have enough free storage")
	b.event("PersistentVolumeClaim/data-db-3", "no node has room for a volume of 2500Mi")
	// And it starts as soon as there is room.
	b.kubectl("delete", "pod", "filler")
	b.kubectl("delete", "pvc", "filler")
	b.ready("db-3")
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
	if on := b.nodeOf("next"); on != "k2" {
		b.Errorf("the pod is on %s, where there is no room", on)
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
	// The claim shows its new size once nothing is left to do, so that nobody waits for the kubelet.
	if size, err := strconv.Atoi(strings.TrimSpace(b.in("data", "df -m --output=size /data | tail -1"))); err != nil || size < 900 {
		b.Errorf("the claim has 1Gi, its file system %d MiB (%v)", size, err)
	}
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
	// kube-scheduler by itself does not know that a copy has to be where its source is (docs/limits.md).
	there := onNode(b.nodeOf("data"))
	b.apply(claim("restored", "loam", "512Mi", "dataSource: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: monday}") +
		pod("restored", "restored", there) +
		claim("cloned", "loam", "256Mi", "dataSource: {kind: PersistentVolumeClaim, name: data}") + pod("cloned", "cloned", there))
	b.ready("restored", "cloned")
	b.holds("restored", "/data/file", sum)
	b.holds("cloned", "/data/file", changed)
	b.holds("data", "/data/file", changed)
	b.kubectl("delete", "volumesnapshot", "monday", "--timeout=60s")
	b.holds("restored", "/data/file", sum)
}

func TestSnapshotIsKeptWhereItsPolicySaysSo(t *testing.T) {
	b := start(t)
	b.apply(`apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata: {name: loam-kept}
driver: loam.storage
deletionPolicy: Retain
` + claim("data", "loam", "256Mi") + pod("data", "data", onNode("k1")))
	b.ready("data")
	snapshots := func() (all []struct{ ID, Of string }) {
		b.loam("k1", &all, "volume", "list", "--snapshots")
		return all
	}
	before := len(snapshots())
	b.apply(`apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: kept}
spec: {volumeSnapshotClassName: loam-kept, source: {persistentVolumeClaimName: data}}
`)
	b.field("volumesnapshot/kept", ".status.readyToUse", "true")
	content := b.kubectl("get", "volumesnapshot", "kept", "-o", "jsonpath={.status.boundVolumeSnapshotContentName}")
	b.kubectl("delete", "volumesnapshot", "kept", "--timeout=60s")
	if n := len(snapshots()); n != before+1 {
		b.Errorf("%d snapshots on k1, and there were %d before one that is kept", n, before)
	}
	b.kubectl("patch", "volumesnapshotcontent", content, "--type=merge", "-p", `{"spec":{"deletionPolicy":"Delete"}}`)
	b.kubectl("delete", "volumesnapshotcontent", content, "--timeout=60s")
	if n := len(snapshots()); n != before {
		b.Errorf("%d snapshots on k1 after the kept one was deleted, and %d before it was made", n, before)
	}
}

func TestThickVolumeIsKeptAfterItsClaim(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.apply(claim("ledger", "loam-thick", "256Mi") + pod("ledger", "ledger"))
	b.ready("ledger")
	node, volume := b.nodeOf("ledger"), b.kubectl("get", "pvc", "ledger", "-o", "jsonpath={.spec.volumeName}")
	sum := b.write("ledger", "/data/file")
	b.kubectl("delete", "pod", "ledger")
	b.kubectl("delete", "pvc", "ledger")
	b.field("pv/"+volume, ".status.phase", "Released")
	// As an administrator gives a released volume to a new claim.
	b.kubectl("patch", "pv", volume, "--type=json", "-p", `[{"op":"remove","path":"/spec/claimRef"}]`)
	b.apply(claim("again", "loam-thick", "256Mi", "volumeName: "+volume) + pod("again", "again"))
	b.ready("again")
	b.holds("again", "/data/file", sum)
	b.kubectl("patch", "pv", volume, "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	b.kubectl("delete", "pod", "again")
	b.kubectl("delete", "pvc", "again")
	b.until("the volume is gone from "+node, func() (string, bool) {
		var all []struct{ Name string }
		b.loam(node, &all, "volume", "list")
		for _, v := range all {
			if v.Name == volume {
				return v.Name, false
			}
		}
		return "", true
	})
}

func TestRawBlockVolumeHoldsWhatIsWrittenAndGrows(t *testing.T) {
	t.Parallel()
	b := start(t)
	device := strings.Replace(pod("block", "block"), "volumeMounts: [{name: data, mountPath: /data}]", "volumeDevices: [{name: data, devicePath: /dev/data}]", 1)
	b.apply(claim("block", "loam", "256Mi", "volumeMode: Block") + device)
	b.ready("block")
	b.in("block", "(while :; do dd if=/dev/zero of=/dev/data bs=64k seek=1024 count=64 conv=fsync 2>/dev/null || echo > /dev/shm/failed; done) >/dev/null 2>&1 &")
	sum := b.in("block", "head -c 3000000 /dev/urandom > /dev/shm/x && dd if=/dev/shm/x of=/dev/data conv=fsync 2>/dev/null && sha256sum < /dev/shm/x")
	b.kubectl("patch", "pvc", "block", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"512Mi"}}}}`)
	b.field("pvc/block", ".status.capacity.storage", "512Mi")
	if is := b.in("block", "head -c 3000000 /dev/data | sha256sum"); is != sum {
		b.Errorf("the device holds %s, and %s was written", is, sum)
	}
	b.until("the device is larger", func() (string, bool) {
		size := b.in("block", "blockdev --getsize64 /dev/data")
		return size, size == "536870912"
	})
	if failed := b.in("block", "ls /dev/shm"); strings.Contains(failed, "failed") {
		b.Error("a write failed while the device grew")
	}
}

func TestCapacityFollowsEachStep(t *testing.T) {
	b := start(t)
	const gib, step = 1 << 30, 6 << 30 / 20 // what is published is rounded down to a twentieth of a small pool
	// follows waits until what is published is what the agent would give, but for the rounding.
	follows := func(after string) (available int64) {
		t.Helper()
		b.until("capacity after "+after, func() (string, bool) {
			var pool struct{ Available int64 }
			b.loam("k1", &pool, "pool", "show", "fast")
			available = pool.Available
			is := b.capacity("k1", "loam")
			return fmt.Sprintf("%d published, %d available", is, available), is > available-step && is <= available
		})
		return available
	}
	b.until("what was here before is gone", func() (string, bool) {
		out, err := b.try("get", "pv", "-o", "name")
		return out, err == nil && out == ""
	})
	before := follows("the test before")
	took := func(what string, bytes int64) {
		t.Helper()
		if is := before - follows(what); is < bytes || is > bytes+step {
			b.Errorf("%s took %d, and %d was asked for", what, is, bytes)
		}
	}
	b.apply(claim("data", "loam", "1Gi") + pod("data", "data", onNode("k1")))
	b.ready("data")
	took("a volume of 1 GiB", gib)
	b.kubectl("patch", "pvc", "data", "--type=merge", "-p", `{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`)
	b.field("pvc/data", ".status.capacity.storage", "2Gi")
	took("its growth to 2 GiB", 2*gib)
	b.apply(claim("copy", "loam", "2Gi", "dataSource: {kind: PersistentVolumeClaim, name: data}") + pod("copy", "copy", onNode("k1")))
	b.ready("copy")
	took("a clone", 4*gib)
	b.kubectl("delete", "pod", "copy")
	b.kubectl("delete", "pvc", "copy")
	b.until("the clone is gone", func() (string, bool) { is := before - follows("the clone's end"); return fmt.Sprint(is), is < 3*gib })
	b.kubectl("delete", "pod", "data")
	b.kubectl("delete", "pvc", "data")
	b.until("the room is back", func() (string, bool) { is := before - follows("the volume's end"); return fmt.Sprint(is), is == 0 })
	b.apply(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: passing}
provisioner: loam.storage
parameters: {pool: bulk}
volumeBindingMode: WaitForFirstConsumer
`)
	b.until("capacity of a new class", func() (string, bool) { is := b.capacity("k1", "passing"); return fmt.Sprint(is), is > gib })
	b.kubectl("delete", "storageclass", "passing")
	b.until("no capacity of a class that is gone", func() (string, bool) { is := b.capacity("k1", "passing"); return fmt.Sprint(is), is < 0 })
}

func TestClassThatCannotBeServedSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	b := start(t)
	for name, c := range map[string]struct{ parameters, options, words string }{
		"parameter": {"{pool: fast, shape: round}", "[]", `parameters["shape"]: unknown; expected one of`},
		"fstype":    {"{pool: fast, csi.storage.k8s.io/fstype: btrfs}", "[]", "expected ext4 or xfs"},
		"option":    {"{pool: fast}", "[noatime, loop]", `mount_flags`},
		"mkfs":      {"{pool: fast, mkfsOptions: -F yes}", "[]", "parameters[mkfsOptions]"},
		"thick":     {"{pool: fast, stripes: \"2\"}", "[]", `parameters["stripes"]: unknown; expected one of`},
	} {
		b.apply(fmt.Sprintf(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: wrong-%s}
provisioner: loam.storage
parameters: %s
mountOptions: %s
volumeBindingMode: WaitForFirstConsumer
`, name, c.parameters, c.options))
		t.Cleanup(func() { b.try("delete", "storageclass", "wrong-"+name) })
		b.apply(claim(name, "wrong-"+name, "128Mi") + pod(name, name))
		b.event("PersistentVolumeClaim/"+name, c.words)
	}
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
		b.Errorf("a read-only volume was written to: %s", out)
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
		b.Errorf("the volume is on %s; k1 has more room", on)
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
