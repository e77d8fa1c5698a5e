package extender

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAnIndexOfListedObjectsAnswers(t *testing.T) {
	class, waits := "fast", storagev1.VolumeBindingWaitForFirstConsumer
	capacity := func(node, size string) storagev1.CSIStorageCapacity {
		q := resource.MustParse(size)
		return storagev1.CSIStorageCapacity{
			ObjectMeta: metav1.ObjectMeta{Namespace: "loam-system", Name: node}, StorageClassName: class, Capacity: &q, MaximumVolumeSize: &q,
			NodeTopology: &metav1.LabelSelector{MatchLabels: map[string]string{topologyKey: node}},
		}
	}
	claim := func(name, size string, source *corev1.TypedObjectReference) corev1.PersistentVolumeClaim {
		return corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, DataSourceRef: source,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		}}
	}
	index := Listed{
		Claims: []corev1.PersistentVolumeClaim{
			claim("small", "1Gi", nil), claim("large", "15Gi", nil),
			claim("restored", "1Gi", &corev1.TypedObjectReference{Kind: "VolumeSnapshot", Name: "monday"}),
			claim("copy", "1Gi", &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "bound"}),
			{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bound"}, Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, VolumeName: "pv"}},
		},
		Volumes: []corev1.PersistentVolume{{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
			CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: "n1/pv"},
		}}}},
		Classes:    []storagev1.StorageClass{{ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: driverName, VolumeBindingMode: &waits}},
		Capacities: []storagev1.CSIStorageCapacity{capacity("n1", "10Gi"), capacity("n2", "20Gi")},
		Snapshots: []unstructured.Unstructured{{Object: map[string]any{
			"metadata": map[string]any{"namespace": "shop", "name": "monday"}, "status": map[string]any{"readyToUse": true, "boundVolumeSnapshotContentName": "content"},
		}}},
		Contents: []unstructured.Unstructured{{Object: map[string]any{
			"metadata": map[string]any{"name": "content"}, "spec": map[string]any{"driver": driverName}, "status": map[string]any{"snapshotHandle": "n2/snap-monday"},
		}}},
	}.Index()
	for name, want := range map[string][]int{"small": {0, 1}, "large": {1}, "restored": {1}, "copy": {0}, "bound": {0}} {
		a := index.Filter(context.Background(), Pod{UID: name, Name: "shop/p", Claims: []string{"shop/" + name}}, []string{"n1", "n2"})
		index.forget(Pod{UID: name})
		if !slices.Equal(a.Fits, want) {
			t.Errorf("%s fits %v, want %v (%v)", name, a.Fits, want, a.Reasons)
		}
	}
}
