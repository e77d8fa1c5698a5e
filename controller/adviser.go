package controller

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	storageinformers "k8s.io/client-go/informers/storage/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	adviceInterval = 15 * time.Second
	adviceReminder = time.Hour // as long as events are kept (kube-apiserver --event-ttl)
)

// adviser tells people, in events on claims, what keeps them from being placed. It watches classes and claims of the cluster,
// and what the agents publish.
type adviser struct {
	client     kubernetes.Interface
	log        *slog.Logger
	classes    cache.SharedIndexInformer
	capacities cache.SharedIndexInformer
	claims     cache.SharedIndexInformer
}

func newAdviser(client kubernetes.Interface, namespace string, log *slog.Logger) *adviser {
	return &adviser{
		client: client, log: log,
		classes:    storageinformers.NewStorageClassInformer(client, 0, nil),
		claims:     coreinformers.NewPersistentVolumeClaimInformer(client, metav1.NamespaceAll, 0, nil),
		capacities: storageinformers.NewCSIStorageCapacityInformer(client, namespace, 0, nil),
	}
}

// run watches and advises until the context ends.
func (a *adviser) run(ctx context.Context) error {
	var watches errgroup.Group
	for _, i := range []cache.SharedIndexInformer{a.classes, a.claims, a.capacities} {
		if err := i.SetTransform(trimForAdvice); err != nil {
			return err
		}
		watches.Go(func() error { i.RunWithContext(ctx); return nil })
	}
	a.advise(ctx)
	return watches.Wait()
}

func (a *adviser) advise(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), a.classes.HasSynced, a.claims.HasSynced, a.capacities.HasSynced) {
		return
	}
	tick := time.NewTicker(adviceInterval)
	defer tick.Stop()
	told := map[string]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		all := advise(stored[*storagev1.StorageClass](a.classes), stored[*storagev1.CSIStorageCapacity](a.capacities),
			stored[*corev1.PersistentVolumeClaim](a.claims), now)
		for _, one := range fresh(all, told, now.Add(-adviceReminder), now) {
			if err := a.tell(ctx, one, now); err != nil && ctx.Err() == nil {
				delete(told, one.eventName())
				a.log.WarnContext(ctx, "an event on a claim could not be written", "claim", one.claim.Namespace+"/"+one.claim.Name,
					"reason", one.reason, "error", err)
			}
		}
	}
}

func (a *adviser) tell(ctx context.Context, one advice, now time.Time) error {
	_, err := a.client.CoreV1().Events(one.claim.Namespace).Create(ctx, one.notice().event("loam-controller", now), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) { // told by another controller; or the namespace has gone
		return nil
	}
	return err
}

// stored are an informer's objects, in no order.
func stored[T any](i cache.SharedIndexInformer) []T {
	var all []T
	for _, object := range i.GetStore().List() {
		if o, ok := object.(T); ok {
			all = append(all, o)
		}
	}
	return all
}

// trimForAdvice keeps what advise uses: of 100,000 claims that are bound, little more than their names. It is a
// cache.TransformFunc, which is also given what is trimmed already, and tombstones.
func trimForAdvice(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.PersistentVolumeClaim:
		kept := &corev1.PersistentVolumeClaim{ObjectMeta: trimMeta(o.ObjectMeta), Status: corev1.PersistentVolumeClaimStatus{Phase: o.Status.Phase}}
		if isWaiting(o) {
			kept.Spec.StorageClassName = o.Spec.StorageClassName
			kept.Spec.Resources.Requests = o.Spec.Resources.Requests
		} else {
			kept.Spec.VolumeName = o.Spec.VolumeName
		}
		return kept, nil
	case *storagev1.StorageClass:
		return &storagev1.StorageClass{
			ObjectMeta: trimMeta(o.ObjectMeta), Provisioner: o.Provisioner, Parameters: o.Parameters, VolumeBindingMode: o.VolumeBindingMode,
		}, nil
	case *storagev1.CSIStorageCapacity:
		return &storagev1.CSIStorageCapacity{
			ObjectMeta: trimMeta(o.ObjectMeta), NodeTopology: o.NodeTopology, StorageClassName: o.StorageClassName,
			MaximumVolumeSize: o.MaximumVolumeSize,
		}, nil
	case cache.DeletedFinalStateUnknown:
		return o, nil
	}
	return nil, fmt.Errorf("advice does not need a %T", object)
}

func trimMeta(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
	}
}
