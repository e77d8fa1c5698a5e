package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/loam-storage/loam/cluster"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

// TestPluginSessions runs the command lines of testdata/plugin/*.txt, which begin with "$ kubectl loam", against a cluster of three
// nodes: k1 is well, k2 is not, and k3 does not answer. LOAM_UPDATE=1 writes the files anew.
func TestPluginSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/plugin/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions in testdata/plugin: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := pluginSession(t, string(want))
			if os.Getenv("LOAM_UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s differs.\n--- got\n%s\n--- want\n%s", file, got, want)
			}
		})
	}
}

func pluginSession(t *testing.T, transcript string) string {
	dir := t.TempDir()
	var b strings.Builder
	for line := range strings.Lines(transcript) {
		command, ok := strings.CutPrefix(line, "$ kubectl loam")
		if !ok {
			if strings.HasPrefix(line, "#") && !strings.Contains(b.String(), "$ ") { // further ones are printed
				b.WriteString(line)
			}
			continue
		}
		stdout, stderr, code := kubectlLoam(plugin, strings.Fields(strings.ReplaceAll(command, "DIR", dir))...)
		b.WriteString(line)
		b.WriteString(strings.ReplaceAll(stdout+stderr, dir, "DIR"))
		if code != 0 {
			fmt.Fprintf(&b, "[exit %d]\n", code)
		}
	}
	return b.String()
}

// kubectlLoam runs one command line of the plugin.
func kubectlLoam(name string, args ...string) (stdout, stderr string, code int) {
	var out, errs strings.Builder
	a := &app{stdout: &out, stderr: &errs, now: func() time.Time { return now }, getenv: func(string) string { return "" }, name: name}
	a.reach = func(o clusterOptions) (reached, error) {
		if o.context == "none" {
			return reached{}, errors.New(`how to reach Kubernetes: context "none" does not exist`)
		}
		c := fakeCluster()
		c.Namespace, c.Patience = o.namespace, o.patience
		return reached{c, "shop", now}, nil
	}
	code = a.run(context.Background(), args)
	return out.String(), errs.String(), code
}

// The volumes of claims shop/data and shop/logs, and of one that is gone.
const (
	volumeData = "pvc-11111111-1111-1111-1111-111111111111"
	volumeLogs = "pvc-22222222-2222-2222-2222-222222222222"
	volumeGone = "pvc-33333333-3333-3333-3333-333333333333"
)

func fakeCluster() *cluster.Client {
	two := int32(2)
	labels := func(component string) map[string]string {
		return map[string]string{"app.kubernetes.io/name": "loam", "app.kubernetes.io/component": component}
	}
	objects := []runtime.Object{
		&appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Name: "loam-agent", Namespace: "loam-system", Labels: labels("agent")},
			Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "agent", Image: "loam:1"}}}}},
			Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 3, NumberReady: 2},
		},
		&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "loam-controller", Namespace: "loam-system", Labels: labels("controller")},
			Spec:       appsv1.DeploymentSpec{Replicas: &two}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2},
		},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "loam", Namespace: "loam-system"},
			Data:       map[string]string{"config.yaml": "pools:\n- name: fast\n  devices:\n    paths:\n    - /dev/sda\n"},
		},
		fakePod("agent", "loam-agent-a", "k1", true), fakePod("agent", "loam-agent-b", "k2", true), fakePod("agent", "loam-agent-c", "k3", false),
		fakePod("controller", "loam-controller-a", "k1", true), fakePod("controller", "loam-controller-b", "k2", true),
		fakeClaim("data", volumeData, "10Gi"), fakeClaim("logs", volumeLogs, "5Gi"), fakeClaim("waits", "", "20Gi"), fakeClaim("huge", "", "500Gi"),
		fakeVolume(volumeData, "k1", "data"), fakeVolume(volumeLogs, "k3", "logs"),
		fakeCapacity("k1", 80*lvm.GiB), fakeCapacity("k2", 12*lvm.GiB), fakeCapacity("k3", 60*lvm.GiB),
		fakeUser("web-0", "data", ""), fakeUser("big-0", "huge", "0/3 nodes are available: 3 node(s) did not have enough free storage."),
	}
	for _, name := range []string{"k1", "k2", "k3"} {
		objects = append(objects, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		})
	}
	yes, mode := true, storagev1.VolumeBindingWaitForFirstConsumer
	objects = append(objects, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "loam.storage"}, Spec: storagev1.CSIDriverSpec{StorageCapacity: &yes}}, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "loam"}, Provisioner: "loam.storage", Parameters: map[string]string{"pool": "fast"}, VolumeBindingMode: &mode,
	})
	objects = append(objects, fakeEvents()...)
	kinds := map[schema.GroupVersionResource]string{
		{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshots"}:        "VolumeSnapshotList",
		{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}: "VolumeSnapshotContentList",
	}
	kubernetes := fake.NewClientset(objects...)
	kubernetes.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &authorizationv1.SelfSubjectAccessReview{Status: authorizationv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	return &cluster.Client{
		Kubernetes: kubernetes, Dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds), Exec: fakeExec,
	}
}

// fakeExec answers for the agents.
func fakeExec(_ context.Context, in cluster.Container, _ ...string) ([]byte, error) {
	volume := func(node, lv, claim string) admin.Volume {
		return admin.Volume{
			ID: node + "/" + lv, Name: lv, LV: lv, Kind: admin.KindVolume, Pool: "fast", VolumeGroup: "loam-fast", Size: 10 * lvm.GiB, Used: lvm.GiB, FS: "ext4",
			Claim: claim, Created: now.Add(-time.Hour), Active: true,
		}
	}
	pool := func(largest lvm.Bytes) admin.Pool {
		return admin.Pool{
			Name: "fast", Type: "thin", VolumeGroup: "loam-fast", Ready: true, Size: 100 * lvm.GiB, Used: lvm.GiB, Promised: 10 * lvm.GiB, Available: largest, Largest: largest,
			DataPercent: 1, MetadataPercent: 0.5, Volumes: 1, Devices: []string{"/dev/sda"},
		}
	}
	taken := admin.Disk{Path: "/dev/sda", Size: 100 * lvm.GiB, Kind: "disk", Model: "FAST 100", State: admin.DiskTaken, Pool: "fast", VolumeGroup: "loam-fast"}
	var r admin.Report
	switch in.Pod {
	case "loam-agent-a":
		v := volume("k1", volumeData, "shop/data")
		v.Mounts = []string{"/var/lib/kubelet/pods/x"}
		r = admin.Report{Info: admin.Info{Node: "k1", Version: "v0.1.0"}, Pools: []admin.Pool{pool(80 * lvm.GiB)}, Volumes: []admin.Volume{v}, Disks: []admin.Disk{taken, {
			Path: "/dev/sdb", Size: 200 * lvm.GiB, Kind: "disk", Model: "FAST 200", Serial: "S1", State: admin.DiskRefused, Reason: "matches no pool's devices.paths", Unnamed: true,
			Links: []string{"/dev/disk/by-id/nvme-FAST_200_S1", "/dev/disk/by-id/wwn-0x5000", "/dev/disk/by-path/pci-1"},
		}}}
	case "loam-agent-b":
		full := pool(12 * lvm.GiB)
		full.Conditions = []admin.Condition{{Kind: "DataNearlyFull", Since: then, Message: "the data of thin pool loam-fast/pool is at least 85 % full. Add a disk"}}
		r = admin.Report{
			Info:  admin.Info{Node: "k2", Version: "v0.2.0", ConfigPath: "/etc/loam/config.yaml", ConfigProblem: "config.yaml:2: no devices"},
			Pools: []admin.Pool{full}, Volumes: []admin.Volume{volume("k2", volumeGone, "shop/gone")},
			Disks: []admin.Disk{taken, {Path: "/dev/sdb", Size: lvm.GiB, Kind: "disk", State: admin.DiskRefused, Pool: "fast", Reason: "holds an ext4 file system"}},
		}
	default:
		return nil, fmt.Errorf("%v has no such container", in)
	}
	return json.Marshal(r)
}

func fakePod(component, name, node string, ready bool) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "loam-system", Labels: map[string]string{"app.kubernetes.io/name": "loam", "app.kubernetes.io/component": component}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: component, Args: []string{component}, Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}},
		}}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: component, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}
	if !ready {
		p.Status.Conditions[0].Status = corev1.ConditionFalse
		p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: component, RestartCount: 7, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}
	}
	return p
}

func fakeClaim(name, volume, size string) *corev1.PersistentVolumeClaim {
	class := "loam"
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: "99999999-9999-9999-9999-999999999999"},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, VolumeName: volume, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	if volume != "" {
		c.Status.Phase = corev1.ClaimBound
	}
	return c
}

func fakeVolume(name, node, claim string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: "loam.storage", VolumeHandle: node + "/" + name, FSType: "ext4", VolumeAttributes: map[string]string{"pool": "fast"},
			}},
			ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: claim},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
}

func fakeCapacity(node string, most lvm.Bytes) *storagev1.CSIStorageCapacity {
	q := resource.NewQuantity(int64(most), resource.BinarySI)
	return &storagev1.CSIStorageCapacity{
		ObjectMeta:   metav1.ObjectMeta{Name: "loam-" + node, Namespace: "loam-system", Labels: map[string]string{"app.kubernetes.io/managed-by": "loam-agent"}},
		NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{"loam.storage/node": node}}, StorageClassName: "loam", Capacity: q, MaximumVolumeSize: q,
	}
}

// fakeUser is a pod of the namespace that claims are in; it waits if the scheduler says something.
func fakeUser(name, claim, scheduler string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: "uid"},
		Spec: corev1.PodSpec{NodeName: "k1", Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if scheduler != "" {
		p.Spec.NodeName, p.Status.Phase = "", corev1.PodPending
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: scheduler}}
	}
	return p
}

func fakeEvents() []runtime.Object {
	event := func(name, from, reason, message string, ago time.Duration) runtime.Object {
		return &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "shop"},
			InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "huge"},
			Type:           "Warning", Reason: reason, Message: message, Count: 2, LastTimestamp: metav1.NewTime(now.Add(-ago)),
			Source: corev1.EventSource{Component: from},
		}
	}
	return []runtime.Object{
		event("a", "loam.storage_loam-controller-a_1", "ProvisioningFailed", "no room", time.Hour),
		event("b", "loam.storage_loam-controller-b_2", "ProvisioningFailed", "no room", 2*time.Minute),
		event("c", "persistentvolume-controller", "Other", "not Loam's", time.Minute),
		event("d", "loam-controller", "NoRoom", "the largest volume that fits is of 80 GiB, on k1", time.Minute),
	}
}

func TestHowToReachKubernetesIsReadFromAKubeconfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], " +
		"contexts: [{name: a, context: {cluster: c}}, {name: b, context: {cluster: c, namespace: shop}}]}"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{now: func() time.Time { return now }}
	for context, claims := range map[string]string{"": "default", "b": "shop"} {
		r, err := a.cluster(clusterOptions{kubeconfig: file, context: context, namespace: "storage", patience: time.Second})
		if err != nil || r.claims != claims || r.Namespace != "storage" || r.Patience != time.Second || r.Exec == nil {
			t.Errorf("context %q: %+v, %v; want claims of namespace %s", context, r, err, claims)
		}
	}
	if r, err := a.cluster(clusterOptions{kubeconfig: file, context: "b", claims: "other"}); err != nil || r.claims != "other" {
		t.Errorf("--namespace other: claims of %s, %v", r.claims, err)
	}
	for _, o := range []clusterOptions{{kubeconfig: file, context: "none"}, {kubeconfig: file + ".not"}} {
		if _, err := a.cluster(o); err == nil || !strings.HasPrefix(err.Error(), "how to reach Kubernetes: ") {
			t.Errorf("%+v: %v; want an error", o, err)
		}
	}
}

func TestNamesOfTheClusterAreCompleted(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"disks", "--node", ""}, "k1\nk2\nk3\n:4\n"},
		{[]string{"volumes", "--pvc", ""}, "shop/data\nshop/huge\nshop/logs\nshop/waits\n:4\n"},
		{[]string{"explain", "pvc", ""}, "shop/data\nshop/huge\nshop/logs\nshop/waits\n:4\n"},
		{[]string{"pools", "--context", "none", "--node", ""}, ":4\n"},
	} {
		if stdout, _, code := kubectlLoam(pluginCompletion, c.words...); code != exitOK || stdout != c.want {
			t.Errorf("%q: exit %d, %q; want %q", c.words, code, stdout, c.want)
		}
	}
}

func TestTheBinarysNameDecidesWhichCommandsThereAre(t *testing.T) {
	if stdout, _, code := kubectlLoam(pluginCompletion, "st"); code != exitOK || !strings.HasPrefix(stdout, "status\t") {
		t.Errorf("completion of st: exit %d, %q; want status", code, stdout)
	}
	if _, stderr, code := kubectlLoam("loam", "status"); code != exitUsage || !strings.HasPrefix(stderr, "loam: ") {
		t.Errorf("loam status: exit %d, %q; want wrong usage", code, stderr)
	}
}
