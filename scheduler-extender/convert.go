package extender

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

// selectedNode is the annotation in which kube-scheduler names the node that it chose for a claim. external-provisioner
// removes it when the volume cannot be made there (Kubernetes, "Volume Binding Mode").
const selectedNode = "volume.kubernetes.io/selected-node"

// kept is a string of which there are many alike, kept once.
func kept(s string) string { return unique.Make(s).Value() }

// claimOf reads a claim. One whose volume is lost waits for nothing.
func claimOf(o *corev1.PersistentVolumeClaim) Claim {
	c := Claim{UID: string(o.UID), Volume: o.Spec.VolumeName, Node: kept(o.Annotations[selectedNode])}
	if o.Spec.StorageClassName != nil {
		c.Class = kept(*o.Spec.StorageClassName)
	}
	size := o.Spec.Resources.Requests[corev1.ResourceStorage]
	c.Size = lvm.Bytes(max(0, size.Value()))
	if o.Status.Phase == corev1.ClaimLost {
		c.Node = ""
	}
	if ref := o.Spec.DataSourceRef; ref != nil {
		namespace := o.Namespace
		if ref.Namespace != nil {
			namespace = *ref.Namespace
		}
		c.Source = Source{kept(ref.Kind), namespace + "/" + ref.Name}
	} else if from := o.Spec.DataSource; from != nil {
		c.Source = Source{kept(from.Kind), o.Namespace + "/" + from.Name}
	}
	if c.Volume != "" {
		c.Source = Source{}
	}
	return c
}

// volumeOf reads a PersistentVolume and which claim it is for; ok is false for others' and for one whose ID no agent made.
func volumeOf(o *corev1.PersistentVolume) (v Volume, claim string, ok bool) {
	if o.Spec.CSI == nil || o.Spec.CSI.Driver != driverName {
		return Volume{}, "", false
	}
	id, err := volume.ParseID(o.Spec.CSI.VolumeHandle)
	if err != nil {
		return Volume{}, "", false
	}
	size := o.Spec.Capacity[corev1.ResourceStorage]
	v = Volume{ID: volume.ID{Node: kept(id.Node), LV: id.LV}, Pool: kept(o.Spec.CSI.VolumeAttributes[parameterPool]), Size: lvm.Bytes(max(0, size.Value()))}
	if id.LV == o.Name {
		v.LV = o.Name
	}
	if ref := o.Spec.ClaimRef; ref != nil {
		claim = ref.Namespace + "/" + ref.Name
	}
	return v, claim, true
}

// classOf reads a StorageClass; ok is false for others'.
func classOf(o *storagev1.StorageClass) (c Class, ok bool) {
	if o.Provisioner != driverName {
		return Class{}, false
	}
	waits := o.VolumeBindingMode != nil && *o.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	return Class{Pool: o.Parameters[parameterPool], Waits: waits, Binpack: o.Parameters[parameterPlacement] == placementBinpack}, true
}

// offerOf reads a CSIStorageCapacity; ok is false for one that is not an agent's. What an agent says in detail counts only
// where it can be read: the figures are always there.
func offerOf(o *storagev1.CSIStorageCapacity) (of Offer, ok bool) {
	if o.NodeTopology == nil || o.NodeTopology.MatchLabels[topologyKey] == "" || o.Capacity == nil {
		return Offer{}, false
	}
	of = Offer{ID: o.NodeTopology.MatchLabels[topologyKey], Class: kept(o.StorageClassName), Capacity: lvm.Bytes(o.Capacity.Value())}
	of.Node, of.Largest = of.ID, of.Capacity
	for _, owner := range o.OwnerReferences {
		if owner.Kind == "Node" {
			of.Node = owner.Name
		}
	}
	if o.MaximumVolumeSize != nil {
		of.Largest = lvm.Bytes(o.MaximumVolumeSize.Value())
	}
	if pools, err := published.Parse(o.Annotations[published.Annotation]); err == nil {
		of.Pools = pools
	}
	return of, true
}

// contentOf is the VolumeSnapshotContent of a VolumeSnapshot that is ready.
func contentOf(o *unstructured.Unstructured) (content string) {
	if ready, _, _ := unstructured.NestedBool(o.Object, "status", "readyToUse"); !ready {
		return ""
	}
	content, _, _ = unstructured.NestedString(o.Object, "status", "boundVolumeSnapshotContentName")
	return content
}

// nodeOf is the ID of the node that has what a VolumeSnapshotContent stands for; ok is false for others'.
func nodeOf(o *unstructured.Unstructured) (node string, ok bool) {
	if driver, _, _ := unstructured.NestedString(o.Object, "spec", "driver"); driver != driverName {
		return "", false
	}
	handle, _, _ := unstructured.NestedString(o.Object, "status", "snapshotHandle")
	id, err := volume.ParseID(handle)
	return id.Node, err == nil
}
