package extender

import (
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Listed are a cluster's objects as they were listed once.
type Listed struct {
	Claims     []corev1.PersistentVolumeClaim
	Volumes    []corev1.PersistentVolume
	Classes    []storagev1.StorageClass
	Capacities []storagev1.CSIStorageCapacity // those that agents published
	Snapshots  []unstructured.Unstructured    // VolumeSnapshots
	Contents   []unstructured.Unstructured    // VolumeSnapshotContents
}

// Index is one of those objects, ready to be asked: for whoever wants to know what the extender would say, and does not watch.
func (l Listed) Index() *Index {
	index := NewIndex()
	index.Change(func(c *Change) {
		for i := range l.Classes {
			if class, ours := classOf(&l.Classes[i]); ours {
				c.SetClass(l.Classes[i].Name, class)
			}
		}
		for i := range l.Capacities {
			if offer, ours := offerOf(&l.Capacities[i]); ours {
				c.SetOffer(namespaced(&l.Capacities[i]), offer)
			}
		}
		for i := range l.Volumes {
			if v, claim, ours := volumeOf(&l.Volumes[i]); ours {
				c.SetVolume(l.Volumes[i].Name, v, claim)
			}
		}
		for i := range l.Claims {
			c.SetClaim(namespaced(&l.Claims[i]), claimOf(&l.Claims[i]))
		}
		for i := range l.Contents {
			if node, ours := nodeOf(&l.Contents[i]); ours {
				c.SetContent(l.Contents[i].GetName(), node)
			}
		}
		for i := range l.Snapshots {
			c.SetSnapshot(namespaced(&l.Snapshots[i]), contentOf(&l.Snapshots[i]))
		}
	})
	index.Ready()
	return index
}
