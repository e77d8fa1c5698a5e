package capacity

import (
	"context"
	"errors"
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	storageclient "k8s.io/client-go/kubernetes/typed/storage/v1"

	"github.com/loam-storage/loam/published"
)

// carryOut writes what was planned. A failure of one object keeps none of the others back. A conflict is a failure like any
// other: the next plan is made from what is there by then.
func (f *follower) carryOut(ctx context.Context, s steps) error {
	var failed []error
	for _, o := range s.remove {
		f.Log.InfoContext(ctx, "removing capacity", "class", o.StorageClassName, "object", o.Name)
		failed = append(failed, f.wrote(f.remove(ctx, o)))
	}
	for _, o := range s.create {
		f.Log.InfoContext(ctx, "publishing capacity", "class", o.StorageClassName, "object", o.Name, "capacity", o.Capacity.String(), "largest", o.MaximumVolumeSize.String())
		failed = append(failed, f.wrote(f.create(ctx, o)))
	}
	for _, o := range s.update {
		f.Log.DebugContext(ctx, "capacity changed", "class", o.StorageClassName, "object", o.Name, "capacity", o.Capacity.String(), "largest", o.MaximumVolumeSize.String())
		_, err := f.client().Update(ctx, o, metav1.UpdateOptions{})
		failed = append(failed, f.wrote(wrap("updating", o, err)))
	}
	return errors.Join(failed...)
}

func (f *follower) wrote(err error) error {
	if f.Wrote != nil {
		f.Wrote(err)
	}
	return err
}

func (f *follower) client() storageclient.CSIStorageCapacityInterface {
	return f.Client.StorageV1().CSIStorageCapacities(f.namespace)
}

// remove deletes that very object, not one that has taken its name since.
func (f *follower) remove(ctx context.Context, o *storagev1.CSIStorageCapacity) error {
	err := f.client().Delete(ctx, o.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return wrap("removing", o, err)
}

// create also takes over an object of that name that the watch does not show, because somebody removed its labels.
func (f *follower) create(ctx context.Context, o *storagev1.CSIStorageCapacity) error {
	_, err := f.client().Create(ctx, o, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return wrap("creating", o, err)
	}
	there, err := f.client().Get(ctx, o.Name, metav1.GetOptions{})
	if err != nil {
		return wrap("creating", o, err)
	}
	if !f.fixed(there, o.StorageClassName) {
		return errors.Join(f.remove(ctx, there), wrap("creating", o, errors.New("another was in its place")))
	}
	target, _ := said(o)
	pools, err := published.Parse(o.Annotations[published.Annotation])
	if err != nil {
		return wrap("creating", o, err)
	}
	if n := f.corrected(there, offer{figures: target, pools: pools}); !equality.Semantic.DeepEqual(there, n) {
		_, err = f.client().Update(ctx, n, metav1.UpdateOptions{})
	}
	return wrap("creating", o, err)
}

func wrap(doing string, o *storagev1.CSIStorageCapacity, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the capacity of StorageClass %s: %w", doing, o.StorageClassName, err)
}
