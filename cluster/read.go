package cluster

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Objects are those of a cluster that were asked for.
type Objects struct {
	Nodes       []corev1.Node
	Own         []corev1.Pod // Loam's
	DaemonSets  []appsv1.DaemonSet
	Deployments []appsv1.Deployment
	Capacities  []storagev1.CSIStorageCapacity // that agents published
	Classes     []storagev1.StorageClass       // of all drivers
	Volumes     []corev1.PersistentVolume      // of Loam's
	Claims      []corev1.PersistentVolumeClaim
	Pods        []corev1.Pod // that use claims
	Events      []corev1.Event
	Snapshots   []unstructured.Unstructured
	Contents    []unstructured.Unstructured

	Gaps []Gap
}

// Gap is something that could not be read.
type Gap struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Kind is one kind of Objects, in words.
type Kind string

// The kinds.
const (
	Nodes       Kind = "Nodes"
	Own         Kind = "Loam's pods"
	DaemonSets  Kind = "Loam's DaemonSet"
	Deployments Kind = "Loam's Deployments"
	Capacities  Kind = "CSIStorageCapacities"
	Classes     Kind = "StorageClasses"
	Persistent  Kind = "PersistentVolumes"
	Claims      Kind = "PersistentVolumeClaims"
	Pods        Kind = "pods"
	Occurrences Kind = "events"
	Snapshots   Kind = "VolumeSnapshots"
	Contents    Kind = "VolumeSnapshotContents"
)

// snapshots are the kinds of which a cluster may have none.
func snapshots(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: resource}
}

// Read lists those kinds, all at once. What cannot be listed is a Gap.
func (c *Client) Read(ctx context.Context, kinds ...Kind) Objects {
	var o Objects
	gaps := make([]Gap, len(kinds))
	var group errgroup.Group
	for i, kind := range kinds {
		group.Go(func() error {
			if err := c.read(ctx, kind, &o); err != nil {
				gaps[i] = Gap{string(kind), err.Error()}
			}
			return nil
		})
	}
	_ = group.Wait() // never an error
	o.Gaps = slices.DeleteFunc(gaps, func(g Gap) bool { return g == Gap{} })
	return o
}

// read lists one kind into its field, which no other writes to.
func (c *Client) read(ctx context.Context, kind Kind, o *Objects) error {
	core, apps, storage := c.Kubernetes.CoreV1(), c.Kubernetes.AppsV1(), c.Kubernetes.StorageV1()
	own := metav1.ListOptions{LabelSelector: labelsOwn}
	switch kind {
	case Nodes:
		return pages(ctx, core.Nodes().List, metav1.ListOptions{}, func(l *corev1.NodeList) {
			for _, n := range l.Items {
				n.ManagedFields, n.Status.Images = nil, nil
				o.Nodes = append(o.Nodes, n)
			}
		})
	case Own:
		return pages(ctx, core.Pods(c.Namespace).List, own, func(l *corev1.PodList) { o.Own = append(o.Own, l.Items...) })
	case DaemonSets:
		return pages(ctx, apps.DaemonSets(c.Namespace).List, own, func(l *appsv1.DaemonSetList) { o.DaemonSets = append(o.DaemonSets, l.Items...) })
	case Deployments:
		return pages(ctx, apps.Deployments(c.Namespace).List, own, func(l *appsv1.DeploymentList) { o.Deployments = append(o.Deployments, l.Items...) })
	case Capacities:
		published := metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=loam-agent"}
		return pages(ctx, storage.CSIStorageCapacities(c.Namespace).List, published, func(l *storagev1.CSIStorageCapacityList) {
			o.Capacities = append(o.Capacities, l.Items...)
		})
	case Classes:
		return pages(ctx, storage.StorageClasses().List, metav1.ListOptions{}, func(l *storagev1.StorageClassList) { o.Classes = append(o.Classes, l.Items...) })
	case Persistent:
		return pages(ctx, core.PersistentVolumes().List, metav1.ListOptions{}, o.takeVolumes)
	case Claims:
		return pages(ctx, core.PersistentVolumeClaims(metav1.NamespaceAll).List, metav1.ListOptions{}, func(l *corev1.PersistentVolumeClaimList) {
			for _, claim := range l.Items {
				claim.ManagedFields = nil
				o.Claims = append(o.Claims, claim)
			}
		})
	case Pods:
		return pages(ctx, core.Pods(metav1.NamespaceAll).List, metav1.ListOptions{}, o.takePods)
	case Occurrences:
		return pages(ctx, core.Events(metav1.NamespaceAll).List, metav1.ListOptions{}, o.takeEvents)
	case Snapshots:
		return c.readSnapshots(ctx, "volumesnapshots", &o.Snapshots)
	case Contents:
		return c.readSnapshots(ctx, "volumesnapshotcontents", &o.Contents)
	}
	return fmt.Errorf("no such kind: %s", kind)
}

// takeVolumes leaves those of other drivers.
func (o *Objects) takeVolumes(l *corev1.PersistentVolumeList) {
	for _, v := range l.Items {
		if v.Spec.CSI != nil && v.Spec.CSI.Driver == driver {
			v.ManagedFields = nil
			o.Volumes = append(o.Volumes, v)
		}
	}
}

// takePods leaves those that use no claim, or do not any more.
func (o *Objects) takePods(l *corev1.PodList) {
	for i := range l.Items {
		p := &l.Items[i]
		if len(claimsOf(p)) == 0 || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		p.ManagedFields = nil
		o.Pods = append(o.Pods, *p)
	}
}

// takeEvents leaves those that are not Loam's.
func (o *Objects) takeEvents(l *corev1.EventList) {
	for _, e := range l.Items {
		if isOurs(e) {
			e.ManagedFields = nil
			o.Events = append(o.Events, e)
		}
	}
}

func (c *Client) readSnapshots(ctx context.Context, resource string, into *[]unstructured.Unstructured) error {
	err := pages(ctx, c.Dynamic.Resource(snapshots(resource)).List, metav1.ListOptions{}, func(l *unstructured.UnstructuredList) {
		*into = append(*into, l.Items...)
	})
	if apierrors.IsNotFound(err) {
		return nil // this cluster has no snapshots
	}
	return err
}

// pages lists in parts, so that neither side holds all of 100,000 objects at once.
func pages[L metav1.ListInterface](ctx context.Context, list func(context.Context, metav1.ListOptions) (L, error), o metav1.ListOptions, take func(L)) error {
	for o.Limit = 500; ; {
		page, err := list(ctx, o)
		if err != nil {
			return err
		}
		take(page)
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}
