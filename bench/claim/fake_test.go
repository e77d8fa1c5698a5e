package claim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
)

const namespace = "shop"

// fakeCluster makes pods, claims and volumes of Jobs, and takes them away with these, as Kubernetes does.
type fakeCluster struct {
	*testing.T
	client *fake.Clientset
	// became is the status of a node's pod, so long after it was made; the node of a pod that may choose is k1.
	became func(node string, after time.Duration) corev1.PodStatus
	log    func(node string, after time.Duration) string
	denied string // "verb resource"
	slow   int    // seconds for which a pod is still there when it was told to end

	mutex  sync.Mutex // guards what follows
	made   map[string]time.Time
	told   []string
	ending bool // a pod was told to
}

// inCluster runs a test in a bubble with nodes k1, k2 and k3, of which the last is cordoned, and the class fast, which has room on these.
func inCluster(t *testing.T, test func(*fakeCluster)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeCluster{T: t, made: map[string]time.Time{}}
		f.client = fake.NewClientset(f.objects()...)
		f.became = func(_ string, after time.Duration) corev1.PodStatus { return atWork(after, 10*time.Second, 0) }
		f.log = func(_ string, after time.Duration) string { return whenDone(after, resultText(t)) }
		f.client.PrependReactor("create", "selfsubjectaccessreviews", f.review)
		f.client.PrependReactor("create", "jobs", f.make)
		f.client.PrependReactor("delete", "jobs", f.take)
		f.client.PrependReactor("list", "pods", f.look)
		f.client.PrependReactor("get", "pods", f.look)
		test(f)
		f.isEmpty()
	})
}

func (f *fakeCluster) objects() []runtime.Object {
	yes, keep := true, corev1.PersistentVolumeReclaimRetain
	all := []runtime.Object{
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "loam.storage"},
		&storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "kept"}, Provisioner: "loam.storage", ReclaimPolicy: &keep},
		&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: "loam.storage"}, Spec: storagev1.CSIDriverSpec{StorageCapacity: &yes}},
	}
	for _, n := range threeNodes() {
		all = append(all, &n)
	}
	for _, c := range capacities("k1", "k2", "k3") {
		all = append(all, &c)
	}
	return all
}

func threeNodes() []corev1.Node {
	var all []corev1.Node
	for _, name := range []string{"k2", "k1", "k3"} {
		all = append(all, corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"loam.storage/node": name}},
			Spec:       corev1.NodeSpec{Unschedulable: name == "k3"},
			Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
		})
	}
	return all
}

func capacities(nodes ...string) []storagev1.CSIStorageCapacity {
	var all []storagev1.CSIStorageCapacity
	for _, name := range nodes {
		room := resource.MustParse("10Gi")
		all = append(all, storagev1.CSIStorageCapacity{
			ObjectMeta:   metav1.ObjectMeta{Name: "c-" + name, Namespace: "loam-system"},
			NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{"loam.storage/node": name}}, StorageClassName: "fast", Capacity: &room,
		})
	}
	return all
}

func (f *fakeCluster) review(a k8stesting.Action) (bool, runtime.Object, error) {
	r := a.(k8stesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
	r.Status.Allowed = r.Spec.ResourceAttributes.Verb+" "+r.Spec.ResourceAttributes.Resource != f.denied
	return true, r, nil
}

// make is what the Job's controller, the ephemeral volume's and the driver do.
func (f *fakeCluster) make(a k8stesting.Action) (bool, runtime.Object, error) {
	job := a.(k8stesting.CreateAction).GetObject().(*batchv1.Job)
	f.mutex.Lock()
	f.made[job.Name] = time.Now()
	f.mutex.Unlock()
	if f.became(nodeOf(job), 0).Phase == "" {
		return false, nil, nil // no pod
	}
	pod := &corev1.Pod{ObjectMeta: job.Spec.Template.ObjectMeta, Spec: job.Spec.Template.Spec}
	pod.Name, pod.Namespace, pod.Spec.NodeName = job.Name+"-abcde", namespace, nodeOf(job)
	template := pod.Spec.Volumes[0].Ephemeral.VolumeClaimTemplate
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	claim.Name, claim.Namespace, claim.Spec.VolumeName = claimName(pod.Name), namespace, "pv-"+job.Name
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: claim.Spec.VolumeName}}
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	if *claim.Spec.StorageClassName == "kept" {
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	}
	for _, o := range []runtime.Object{pod, claim, volume} {
		if err := f.client.Tracker().Add(o); err != nil {
			f.Error(err)
		}
	}
	return false, nil, nil
}

func nodeOf(job *batchv1.Job) string {
	if a := job.Spec.Template.Spec.Affinity; a != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
	}
	return "k1"
}

// take removes what belongs to a Job. A volume that is to be kept stays.
func (f *fakeCluster) take(a k8stesting.Action) (bool, runtime.Object, error) {
	f.mutex.Lock()
	f.ending = true
	f.slow-- // it is deleted again every second
	stays := f.slow >= 0
	f.mutex.Unlock()
	if stays {
		return true, nil, nil
	}
	name := a.(k8stesting.DeleteAction).GetName()
	tracker := f.client.Tracker()
	core := corev1.SchemeGroupVersion
	_ = tracker.Delete(core.WithResource("pods"), namespace, name+"-abcde")
	_ = tracker.Delete(core.WithResource("persistentvolumeclaims"), namespace, claimName(name+"-abcde"))
	if v, err := tracker.Get(core.WithResource("persistentvolumes"), "", "pv-"+name); err == nil {
		if v.(*corev1.PersistentVolume).Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			_ = tracker.Delete(core.WithResource("persistentvolumes"), "", "pv-"+name)
		}
	}
	return false, nil, nil
}

// look has a pod's status be what it has become by now.
func (f *fakeCluster) look(a k8stesting.Action) (bool, runtime.Object, error) {
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	all, err := f.client.Tracker().List(pods, corev1.SchemeGroupVersion.WithKind("Pod"), namespace)
	if err != nil {
		return true, nil, err
	}
	for _, p := range all.(*corev1.PodList).Items {
		after := f.age(p.Labels[Label])
		if a.GetSubresource() == "log" {
			return true, &runtime.Unknown{Raw: []byte(f.log(p.Spec.NodeName, after))}, nil
		}
		p.Status = f.became(p.Spec.NodeName, after)
		if err := f.client.Tracker().Update(pods, &p, namespace); err != nil {
			return true, nil, err
		}
	}
	return false, nil, nil
}

func (f *fakeCluster) age(job string) time.Duration {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return time.Since(f.made[job])
}

// isEmpty fails the test for whatever was left in the cluster.
func (f *fakeCluster) isEmpty() {
	f.Helper()
	ctx := context.Background()
	jobs, _ := f.client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	pods, _ := f.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	claims, _ := f.client.CoreV1().PersistentVolumeClaims(namespace).List(ctx, metav1.ListOptions{})
	volumes, _ := f.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if n := len(jobs.Items) + len(pods.Items) + len(claims.Items) + len(volumes.Items); n > 0 {
		f.Errorf("%d Jobs, %d pods, %d claims and %d volumes are left; want nothing", len(jobs.Items), len(pods.Items), len(claims.Items), len(volumes.Items))
	}
}

// gather measures with more than one node at a time only where the test says so.
func (f *fakeCluster) gather(ctx context.Context, change func(*Wanted)) (bench.Report, error) {
	w := Wanted{
		Class: "fast", Each: true, Image: "loam:1", Profile: "quick", Size: lvm.GiB, File: 256 * lvm.MiB, Takes: time.Minute, Parallel: 1, Patience: time.Minute, Timeout: time.Hour,
	}
	change(&w)
	c := Client{Kubernetes: f.client, Namespace: namespace, Tell: func(node, what string) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.told = append(f.told, strings.TrimPrefix(node+": "+what, ": "))
	}}
	return c.Gather(ctx, w)
}

// event puts a warning on an object of every Job that is there.
func (f *fakeCluster) event(kind, of, reason, message string) {
	f.mutex.Lock()
	jobs := slices.Collect(maps.Keys(f.made))
	f.mutex.Unlock()
	for i, job := range jobs {
		e := &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(reason, i), Namespace: namespace}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
			InvolvedObject: corev1.ObjectReference{Kind: kind, Name: job + of}, LastTimestamp: metav1.Now(),
		}
		if err := f.client.Tracker().Add(e); err != nil {
			f.Error(err)
		}
	}
}

// whenDone is a log that has its end after ten seconds.
func whenDone(after time.Duration, text string) string {
	if after < 10*time.Second {
		return ""
	}
	return text
}

// atWork is a pod that runs for a while and ends.
func atWork(after, takes time.Duration, code int32) corev1.PodStatus {
	switch {
	case after < 2*time.Second:
		return corev1.PodStatus{Phase: corev1.PodPending}
	case after < takes:
		return containerIs(corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	}
	return containerIs(corev1.PodSucceeded, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}})
}

func containerIs(phase corev1.PodPhase, s corev1.ContainerState) corev1.PodStatus {
	return corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: container, State: s}}}
}

// resultText is what a pod writes when all is well.
func resultText(t *testing.T) string {
	t.Helper()
	job := bench.Job{Name: "seq-read", Pattern: bench.Read, BlockSize: lvm.MiB, Depth: 8}
	var report, log bytes.Buffer
	err := bench.Encode(&report, bench.Report{
		Version: bench.Version, Program: "v1", Kind: bench.OfTarget, Host: bench.Host{Name: "loam-bench-x", Kernel: "6.1", CPUs: 2}, Engine: "built-in",
		Stages: []bench.Stage{{Name: mountPoint, Jobs: []bench.JobResult{{Job: job, Runs: []bench.Measurement{{
			Elapsed: time.Second, Read: bench.Direction{Operations: 3, Bytes: 3 * lvm.MiB},
		}}}}}},
	})
	if err = errors.Join(err, WriteResult(&log, report.Bytes(), 0)); err != nil {
		t.Fatal(err)
	}
	return log.String()
}
