package capacity

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/published"
)

const (
	provisioner   = "loam.storage"
	parameterPool = "pool"              // of a StorageClass: docs/reference/storageclass.md
	labelNode     = "loam.storage/node" // of an object; also the key of the topology
	labelManager  = "app.kubernetes.io/managed-by"
	manager       = "loam-agent"
)

// identity is whose objects they are.
type identity struct {
	node       string    // its name in topologies and volume IDs
	nodeObject string    // the name of its Node object
	uid        types.UID // of its Node object
	namespace  string
}

func (i identity) labels() map[string]string {
	return map[string]string{labelManager: manager, labelNode: i.node}
}

// owns says whether an object carries this node's labels.
func (i identity) owns(o *storagev1.CSIStorageCapacity) bool {
	return o.Labels[labelManager] == manager && o.Labels[labelNode] == i.node
}

// name of the object for a class. It does not depend on what exists, so that an agent that knows nothing finds its own.
func (i identity) name(class string) string {
	sum := sha256.Sum256([]byte(i.node + "/" + class)) // neither contains a slash
	return "loam-" + hex.EncodeToString(sum[:16])
}

// object is what is to be created.
func (i identity) object(class string, say offer) *storagev1.CSIStorageCapacity {
	return i.corrected(&storagev1.CSIStorageCapacity{
		ObjectMeta:       metav1.ObjectMeta{Name: i.name(class), Namespace: i.namespace},
		NodeTopology:     i.topology(),
		StorageClassName: class,
	}, say)
}

func (i identity) topology() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{labelNode: i.node}}
}

// corrected is a copy of an object that says what it should; what others added to its labels and annotations stays.
func (i identity) corrected(o *storagev1.CSIStorageCapacity, say offer) *storagev1.CSIStorageCapacity {
	o = o.DeepCopy()
	if o.Labels == nil {
		o.Labels = map[string]string{}
	}
	maps.Copy(o.Labels, i.labels())
	if o.Annotations == nil {
		o.Annotations = map[string]string{}
	}
	o.Annotations[published.Annotation] = say.pools.String()
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: i.nodeObject, UID: i.uid}}
	// Always both: kube-scheduler 1.37 crashes on a nil capacity when it scores nodes by it.
	o.Capacity = quantity(say.capacity)
	o.MaximumVolumeSize = quantity(say.largest)
	return o
}

// fixed says whether what an update cannot change is as it should be (API reference, CSIStorageCapacity: immutable).
func (i identity) fixed(o *storagev1.CSIStorageCapacity, class string) bool {
	return o.StorageClassName == class && equality.Semantic.DeepEqual(o.NodeTopology, i.topology())
}

// said are the figures that an object has; ok is false for one that lacks either.
func said(o *storagev1.CSIStorageCapacity) (f figures, ok bool) {
	if o.Capacity == nil || o.MaximumVolumeSize == nil {
		return figures{}, false
	}
	return figures{lvm.Bytes(o.Capacity.Value()), lvm.Bytes(o.MaximumVolumeSize.Value())}, true
}

func quantity(b lvm.Bytes) *resource.Quantity {
	return resource.NewQuantity(int64(b), resource.BinarySI)
}
