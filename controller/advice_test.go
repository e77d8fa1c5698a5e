package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

func class(name, provisioner, pool string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	c := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: provisioner, VolumeBindingMode: &mode}
	if pool != "" {
		c.Parameters = map[string]string{"pool": pool}
	}
	return c
}

func published(class, node, largest string) *storagev1.CSIStorageCapacity {
	q := resource.MustParse(largest)
	return &storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Name: class + "-" + node, Namespace: "loam-system"},
		StorageClassName: class, MaximumVolumeSize: &q,
		NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{topologyKey: node}},
	}
}

func claim(class, size string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "shop", UID: "u1", CreationTimestamp: metav1.NewTime(time.Unix(0, 0))},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func TestClaimsThatCannotBePlacedAreToldWhy(t *testing.T) {
	const wait = storagev1.VolumeBindingWaitForFirstConsumer
	classes := []*storagev1.StorageClass{
		class("fast", "loam.storage", "fast", wait), class("typo", "loam.storage", "fsat", wait), class("any", "loam.storage", "", wait),
		class("now", "loam.storage", "fsat", storagev1.VolumeBindingImmediate), class("others", "ebs.csi.aws.com", "fsat", wait),
	}
	capacities := []*storagev1.CSIStorageCapacity{published("fast", "n1", "10Gi"), published("fast", "n2", "20Gi"), published("fast", "n3", "0")}
	bound := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName, c.Status.Phase = "pv", corev1.ClaimBound }
	young := func(c *corev1.PersistentVolumeClaim) { c.CreationTimestamp = metav1.NewTime(time.Unix(71, 0)) }
	placed := func(c *corev1.PersistentVolumeClaim) { c.Annotations = map[string]string{selectedNode: "n1"} }
	for name, c := range map[string]struct {
		claim        *corev1.PersistentVolumeClaim
		reason, says string
	}{
		"fits on one node":         {claim("fast", "20Gi"), "", ""},
		"too large for every node": {claim("fast", "21Gi"), "NoRoom", "no node has room for a volume of 21Gi in StorageClass fast: the largest that can be made now is 20Gi, on node n2"},
		"pool that no node has":    {claim("typo", "1Gi"), "NoSuchPool", `no node has the pool "fsat" that StorageClass typo names: expected`},
		"no pool at all":           {claim("any", "1Gi"), "NoPool", "no node has a pool for StorageClass any: expected"},
		"not waiting for a pod":    {claim("now", "1Gi"), "", ""},
		"not ours":                 {claim("others", "1Gi"), "", ""},
		"bound":                    {claim("typo", "1Gi", bound), "", ""},
		"just made":                {claim("typo", "1Gi", young), "", ""},
		"in the making":            {claim("fast", "21Gi", placed), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := advise(classes, capacities, []*corev1.PersistentVolumeClaim{c.claim}, time.Unix(100, 0))
			if c.reason == "" && len(all) == 0 {
				return
			}
			if len(all) != 1 || all[0].reason != c.reason || !strings.HasPrefix(all[0].message, c.says) {
				t.Errorf("got %+v; want %s, %q", all, c.reason, c.says)
			}
			trimmed, err := trimForAdvice(c.claim)
			if err != nil {
				t.Fatal(err)
			}
			again, err := trimForAdvice(trimmed)
			if err != nil {
				t.Fatal(err)
			}
			if of := advise(classes, capacities, []*corev1.PersistentVolumeClaim{again.(*corev1.PersistentVolumeClaim)}, time.Unix(100, 0)); len(of) != 1 || of[0].message != all[0].message {
				t.Errorf("trimmed: %+v", of)
			}
		})
	}
}

func TestAdviceIsGivenOnceAnHour(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	told := map[string]time.Time{}
	one := func(uid types.UID) advice {
		return advice{claim("fast", "1Gi", func(c *corev1.PersistentVolumeClaim) { c.UID = uid }), "NoRoom", "…"}
	}
	for _, step := range []struct {
		minute, claims, told int
	}{{0, 1, 1}, {1, 1, 0}, {2, 2, 1}, {59, 2, 0}, {61, 2, 1}, {62, 2, 0}, {70, 0, 0}} {
		all := []advice{one("u1"), one("u2")}[:step.claims]
		if got := fresh(all, told, at(step.minute-60), at(step.minute)); len(got) != step.told {
			t.Errorf("minute %d: told %d, want %d", step.minute, len(got), step.told)
		}
	}
}

func TestControllersGiveOneAdviceTogether(t *testing.T) {
	client := fake.NewClientset()
	one := advice{claim("fast", "1Gi"), "NoRoom", "no room"}
	for range 2 {
		a := newAdviser(client, "loam-system", nil)
		if err := a.tell(t.Context(), one, time.Unix(5, 0)); err != nil {
			t.Fatal(err)
		}
	}
	events, err := client.CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 {
		t.Fatalf("%v, %v; want one event", events, err)
	}
	e := events.Items[0]
	if e.InvolvedObject.Kind != "PersistentVolumeClaim" || e.InvolvedObject.Name != "data" || e.InvolvedObject.UID != "u1" || e.Reason != "NoRoom" || e.Message != "no room" || e.Type != "Warning" {
		t.Errorf("%+v", e)
	}
}
