package capacity

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers/storage/v1"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
)

// watch follows the StorageClasses and this node's own objects.
type watch struct {
	classes  v1.StorageClassIndexInformer
	objects  v1.CSIStorageCapacityIndexInformer
	changed  chan struct{} // something of either did
	vanished chan struct{} // an object was deleted, by whomever
}

// newWatch also tells interrupted whatever interrupts it, which is tried again.
func newWatch(client kubernetes.Interface, i identity, log *slog.Logger, interrupted func(error)) (*watch, error) {
	w := &watch{
		classes: v1.NewTypedStorageClassInformer(client, 0, nil),
		objects: v1.NewTypedFilteredCSIStorageCapacityInformer(client, i.namespace, 0, nil, func(o *metav1.ListOptions) {
			o.LabelSelector = labels.SelectorFromSet(i.labels()).String()
		}),
		changed: make(chan struct{}, 1), vanished: make(chan struct{}, 1),
	}
	failed := func(ctx context.Context, _ *cache.Reflector, err error) {
		level := slog.LevelWarn
		if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			level = slog.LevelDebug // how a watch ends now and then
		}
		log.Log(ctx, level, "watching for capacity was interrupted", "error", err)
		interrupted(err)
	}
	if err := errors.Join(
		w.classes.SetTransform(trimClass), w.objects.SetTransform(trimObject),
		w.classes.SetWatchErrorHandlerWithContext(failed), w.objects.SetWatchErrorHandlerWithContext(failed),
	); err != nil {
		return nil, err
	}
	if _, err := w.classes.AddTypedEventHandler(v1.StorageClassHandlerFuncs{
		AddFunc:    func(*storagev1.StorageClass) { tell(w.changed) },
		UpdateFunc: func(_, _ *storagev1.StorageClass) { tell(w.changed) },
		DeleteFunc: func(v1.DeletedStorageClass) { tell(w.changed) },
	}); err != nil {
		return nil, err
	}
	_, err := w.objects.AddTypedEventHandler(v1.CSIStorageCapacityHandlerFuncs{
		AddFunc:    func(*storagev1.CSIStorageCapacity) { tell(w.changed) },
		UpdateFunc: func(_, _ *storagev1.CSIStorageCapacity) { tell(w.changed) },
		DeleteFunc: func(v1.DeletedCSIStorageCapacity) { tell(w.vanished); tell(w.changed) },
	})
	return w, err
}

// run follows until the context ends, and calls do once all there is is known; it returns when all has ended.
func (w *watch) run(ctx context.Context, do func(context.Context)) {
	var group sync.WaitGroup
	group.Go(func() { w.classes.RunWithContext(ctx) })
	group.Go(func() { w.objects.RunWithContext(ctx) })
	if cache.WaitFor(ctx, "", w.classes.HasSyncedChecker(), w.objects.HasSyncedChecker()) {
		do(ctx)
	}
	group.Wait()
}

// known is all that there is, which nobody may change.
func (w *watch) known() ([]*storagev1.StorageClass, []*storagev1.CSIStorageCapacity, error) {
	classes, err := listers.NewStorageClassLister(w.classes.GetIndexer()).List(labels.Everything())
	if err != nil {
		return nil, nil, err
	}
	objects, err := listers.NewCSIStorageCapacityLister(w.objects.GetIndexer()).List(labels.Everything())
	return classes, objects, err
}

// trimClass leaves of a StorageClass what a plan is made from; of another provisioner's, that it is one.
func trimClass(o any) (any, error) {
	c, ok := o.(*storagev1.StorageClass)
	if !ok {
		return o, nil
	}
	trimmed := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.Name, UID: c.UID, ResourceVersion: c.ResourceVersion, DeletionTimestamp: c.DeletionTimestamp,
		},
		Provisioner: c.Provisioner,
	}
	if c.Provisioner == provisioner {
		trimmed.AllowedTopologies = c.AllowedTopologies
		trimmed.Parameters = map[string]string{parameterPool: c.Parameters[parameterPool]}
	}
	return trimmed, nil
}

// trimObject drops what is never looked at; an update that does not mention it leaves it as it is.
func trimObject(o any) (any, error) {
	if c, ok := o.(*storagev1.CSIStorageCapacity); ok {
		c.ManagedFields = nil
	}
	return o, nil
}

// tell never blocks: the channel has room for one, and one is enough.
func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// told empties a channel, and says whether there was something.
func told(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
