package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/loam-storage/loam/lvm"
)

// claimed is the name that external-provisioner gives a volume.
func claimed(n int) string { return fmt.Sprintf("pvc-00000000-0000-0000-0000-%012d", n) }

// snapshot is what an agent makes of the name that external-snapshotter gives.
func snapshot(n int) string { return fmt.Sprintf("snap-00000000-0000-0000-0000-%012d", n) }

func TestVolumesThatNobodyNamesAreTold(t *testing.T) {
	client, volumes := fake.NewClientset(), []string{"n1/" + claimed(1), "n1/" + claimed(2), "n2/" + claimed(3)}
	ctx := context.Background()
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "any"}}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: "n1/" + claimed(1)}
	if _, err := client.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	counted := -1
	o := &orphans{client: client, lost: lostVolumes(nil, client), observe: func(_ string, n int, _ time.Time) { counted = n }}
	o.ids = func(context.Context) []string { return volumes }
	told := func() (all []string) {
		events, err := client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.Reason == "OrphanedVolumes" {
				all = append(all, e.InvolvedObject.Name+": "+strings.SplitN(e.Message, ":", 2)[0])
			}
		}
		slices.Sort(all)
		return all
	}
	start := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	for _, after := range []time.Duration{0, time.Minute} {
		if err := o.look(ctx, start.Add(after)); err != nil || len(told()) > 0 || counted != 0 {
			t.Errorf("after %v: %v, told %q, counted %d: a PersistentVolume may still come", after, err, told(), counted)
		}
	}
	volumes = volumes[:2] // the third is deleted after all
	for range 2 {         // two controllers tell the same
		if err := o.look(ctx, start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if want := []string{"n1: no PersistentVolume names n1/" + claimed(2)}; !slices.Equal(told(), want) || counted != 1 {
			t.Errorf("told %q, want %q; counted %d", told(), want, counted)
		}
	}
}

// Of snapshots one is named by a content that was made for it, one by a content that was made by hand, and one by none.
func TestSnapshotsThatNobodyNamesAreTold(t *testing.T) {
	content := func(name string, path []string, handle string) *unstructured.Unstructured {
		c := &unstructured.Unstructured{Object: map[string]any{}}
		c.SetGroupVersionKind(snapshotContents.GroupVersion().WithKind("VolumeSnapshotContent"))
		c.SetName(name)
		if err := unstructured.SetNestedField(c.Object, handle, path...); err != nil {
			t.Fatal(err)
		}
		return c
	}
	snapshots := []string{"n1/" + snapshot(1), "n1/" + snapshot(2), "n1/" + snapshot(3)}
	custom := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{snapshotContents: "VolumeSnapshotContentList"},
		content("made", []string{"status", "snapshotHandle"}, snapshots[0]), content("found", []string{"spec", "source", "snapshotHandle"}, snapshots[1]))
	client, ctx, start := fake.NewClientset(), context.Background(), time.Now()
	o := &orphans{client: client, lost: lostSnapshots(nil, custom), observe: func(string, int, time.Time) {}}
	o.ids = func(context.Context) []string { return snapshots }
	for _, at := range []time.Time{start, start.Add(time.Hour)} {
		if err := o.look(ctx, at); err != nil {
			t.Fatal(err)
		}
	}
	events, err := client.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("%v, %d events", err, len(events.Items))
	}
	if e := events.Items[0]; e.Reason != "OrphanedSnapshots" || !strings.HasPrefix(e.Message, "no VolumeSnapshotContent names "+snapshots[2]+": ") {
		t.Errorf("%s: %s", e.Reason, e.Message)
	}
}

func TestManyOrphansAreOneShortEvent(t *testing.T) {
	since, now := map[string]time.Time{}, time.Now()
	for n := range 1000 {
		since["n1/"+claimed(n)] = now.Add(-time.Hour)
	}
	since["n1/"+claimed(5000)] = now
	all := overdue(since, now)
	if len(all) != 1 || len(all["n1"]) != 1000 {
		t.Fatalf("%d of %d nodes", len(all["n1"]), len(all))
	}
	client := fake.NewClientset()
	if err := (&orphans{client: client, lost: lostVolumes(nil, client)}).tell(context.Background(), "n1", all["n1"], now); err != nil {
		t.Fatal(err)
	}
	events, err := client.CoreV1().Events(metav1.NamespaceDefault).List(context.Background(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 || len(events.Items[0].Message) > 1024 || !strings.Contains(events.Items[0].Message, "and 995 more") {
		t.Errorf("%v, %+v", err, events.Items)
	}
}

func TestProvisionersVolumesOfAgentsThatAnswerAreAsked(t *testing.T) {
	b := newBed(t)
	b.agent("n1", lvm.GiB).set(func(f *fakeAgent) { f.volumes = []string{claimed(1), "by-hand", claimed(2)} })
	b.agent("n2", lvm.GiB).set(func(f *fakeAgent) { f.refuse = map[string]error{"ListVolumes": errors.New("away")} })
	b.agent("n3", lvm.GiB).set(func(f *fakeAgent) {
		f.volumes, f.snapshots = []string{claimed(3)}, []string{"snap-by-hand", snapshot(4)}
	})
	r, ctx := b.router(3)
	if got, want := r.provisionedVolumes(ctx), []string{"n1/" + claimed(1), "n1/" + claimed(2), "n3/" + claimed(3)}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := r.provisionedSnapshots(ctx), []string{"n3/" + snapshot(4)}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
