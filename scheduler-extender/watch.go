package extender

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// capacityLabels are on what agents publish.
const capacityLabels = "app.kubernetes.io/managed-by=loam-agent"

var (
	snapshotGroup = schema.GroupVersion{Group: "snapshot.storage.k8s.io", Version: "v1"}
	snapshotKinds = map[string]string{"volumesnapshots": "VolumeSnapshot", "volumesnapshotcontents": "VolumeSnapshotContent"}
)

// snapshotPoll is how often a cluster without snapshots is asked whether it has them now.
const snapshotPoll = time.Minute

// watcher feeds an index from Kubernetes.
type watcher struct {
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string // of what agents publish
	index     *Index
	log       *slog.Logger
}

// source is one kind of objects to watch.
type source struct {
	kind   string
	object runtime.Object
	list   func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch  func(context.Context, metav1.ListOptions) (watch.Interface, error)
	tweak  func(*metav1.ListOptions)
}

// lists is a kind's client, of which there is one type for each.
type lists[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func sourceOf[L runtime.Object](kind string, object runtime.Object, client lists[L], tweak func(*metav1.ListOptions)) source {
	if tweak == nil {
		tweak = func(*metav1.ListOptions) {}
	}
	return source{kind: kind, object: object, tweak: tweak, watch: client.Watch,
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, o) }}
}

// run feeds until the context ends, and tells the index when all there is was read.
func (w *watcher) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	var synced []func() bool
	for _, begin := range []func(context.Context, *errgroup.Group) func() bool{
		w.classes, w.offers, w.volumes, w.claims, w.pods,
	} {
		synced = append(synced, begin(ctx, group))
	}
	group.Go(func() error {
		for _, is := range append(synced, w.snapshots(ctx, group)...) {
			if !cache.WaitForCacheSync(ctx.Done(), is) {
				return nil
			}
		}
		w.index.Ready()
		debug.FreeOSMemory() // reading all of them takes twice what they are
		s := w.index.size()
		w.log.InfoContext(ctx, "ready", "nodes", s.nodes, "claims", s.claims, "volumes", s.volumes)
		return nil
	})
	return group.Wait()
}

// follow runs a reflector, and says whether it has read all there is. by is the client that s is of.
func follow[T any](ctx context.Context, group *errgroup.Group, by any, s source, f *feed[T]) func() bool {
	both := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			s.tweak(&o)
			return s.list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			s.tweak(&o)
			return s.watch(ctx, o)
		},
	}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(both, by), s.object, f,
		cache.ReflectorOptions{Name: "scheduler-extender", TypeDescription: s.kind})
	group.Go(func() error { r.RunWithContext(ctx); return nil })
	return f.synced.Load
}

func (w *watcher) classes(ctx context.Context, group *errgroup.Group) func() bool {
	return follow(ctx, group, w.client, sourceOf("StorageClass", &storagev1.StorageClass{}, w.client.StorageV1().StorageClasses(), nil), &feed[Class]{
		index: w.index, key: namespaced, set: (*Change).SetClass, remove: (*Change).RemoveClass,
		read: func(o any) (Class, bool) { return classOf(o.(*storagev1.StorageClass)) },
	})
}

func (w *watcher) offers(ctx context.Context, group *errgroup.Group) func() bool {
	ours := func(o *metav1.ListOptions) { o.LabelSelector = capacityLabels }
	s := sourceOf("CSIStorageCapacity", &storagev1.CSIStorageCapacity{}, w.client.StorageV1().CSIStorageCapacities(w.namespace), ours)
	return follow(ctx, group, w.client, s, &feed[Offer]{
		index: w.index, key: namespaced, set: (*Change).SetOffer, remove: (*Change).RemoveOffer,
		read: func(o any) (Offer, bool) { return offerOf(o.(*storagev1.CSIStorageCapacity)) },
	})
}

func (w *watcher) volumes(ctx context.Context, group *errgroup.Group) func() bool {
	type claimed struct {
		Volume
		claim string
	}
	return follow(ctx, group, w.client, sourceOf("PersistentVolume", &corev1.PersistentVolume{}, w.client.CoreV1().PersistentVolumes(), nil), &feed[claimed]{
		index: w.index, key: namespaced, remove: (*Change).RemoveVolume,
		set: func(c *Change, name string, v claimed) { c.SetVolume(name, v.Volume, v.claim) },
		read: func(o any) (claimed, bool) {
			v, claim, ok := volumeOf(o.(*corev1.PersistentVolume))
			return claimed{v, claim}, ok
		},
	})
}

func (w *watcher) claims(ctx context.Context, group *errgroup.Group) func() bool {
	s := sourceOf("PersistentVolumeClaim", &corev1.PersistentVolumeClaim{}, w.client.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll), nil)
	return follow(ctx, group, w.client, s, &feed[Claim]{
		index: w.index, key: namespaced, set: (*Change).SetClaim, remove: (*Change).RemoveClaim,
		read: func(o any) (Claim, bool) { return claimOf(o.(*corev1.PersistentVolumeClaim)), true },
	})
}

// pods are those that have no node yet. One that leaves has been placed, or is gone.
func (w *watcher) pods(ctx context.Context, group *errgroup.Group) func() bool {
	unplaced := func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName=" }
	return follow(ctx, group, w.client, sourceOf("Pod", &corev1.Pod{}, w.client.CoreV1().Pods(metav1.NamespaceAll), unplaced), &feed[struct{}]{
		index: w.index, key: func(o metav1.Object) string { return string(o.GetUID()) },
		set: func(*Change, string, struct{}) {}, remove: (*Change).PodLeft,
		read: func(any) (struct{}, bool) { return struct{}{}, true },
	})
}

// snapshots are waited for if the cluster has them; if not, they are waited for without holding anything up.
func (w *watcher) snapshots(ctx context.Context, group *errgroup.Group) []func() bool {
	for {
		there, err := w.haveSnapshots()
		switch {
		case err != nil:
			w.log.WarnContext(ctx, "whether the cluster has snapshots is not known, asking again", "error", err)
			if !pause(ctx, time.Second) {
				return nil
			}
		case there:
			return w.followSnapshots(ctx, group)
		default:
			group.Go(func() error { w.awaitSnapshots(ctx, group); return nil })
			return nil
		}
	}
}

func (w *watcher) awaitSnapshots(ctx context.Context, group *errgroup.Group) {
	for pause(ctx, snapshotPoll) {
		if there, err := w.haveSnapshots(); err == nil && there {
			w.followSnapshots(ctx, group)
			return
		}
	}
}

func (w *watcher) haveSnapshots() (bool, error) {
	list, err := w.client.Discovery().ServerResourcesForGroupVersion(snapshotGroup.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking for %s: %w", snapshotGroup, err)
	}
	return len(list.APIResources) > 0, nil
}

func (w *watcher) followSnapshots(ctx context.Context, group *errgroup.Group) []func() bool {
	of := func(resource string) source {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(snapshotGroup.WithKind(snapshotKinds[resource]))
		client := w.dynamic.Resource(snapshotGroup.WithResource(resource))
		return sourceOf[*unstructured.UnstructuredList](snapshotKinds[resource], object, client, nil)
	}
	return []func() bool{
		follow(ctx, group, w.dynamic, of("volumesnapshots"), &feed[string]{
			index: w.index, key: namespaced, set: (*Change).SetSnapshot, remove: (*Change).RemoveSnapshot,
			read: func(o any) (string, bool) { return contentOf(o.(*unstructured.Unstructured)), true },
		}),
		follow(ctx, group, w.dynamic, of("volumesnapshotcontents"), &feed[string]{
			index: w.index, key: namespaced, set: (*Change).SetContent, remove: (*Change).RemoveContent,
			read: func(o any) (string, bool) { return nodeOf(o.(*unstructured.Unstructured)) },
		}),
	}
}

// pause says whether the context is still there after it.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
