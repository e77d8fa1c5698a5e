package extender

import (
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// feed is what a reflector of one kind of objects writes to. It turns each into a value at once and gives it to the index,
// so that no object is kept, not even while all of them are read for the first time: 100,000 claims with all that is in them
// are some hundred megabytes.
type feed[T any] struct {
	index  *Index
	key    func(metav1.Object) string
	read   func(any) (value T, ok bool) // ok is false for what is none of our business
	set    func(c *Change, key string, value T)
	remove func(c *Change, key string)

	keys   map[string]struct{} // the reflector's goroutine alone
	synced atomic.Bool
}

// record is what is kept of an object.
type record[T any] struct {
	namespace, name string
	key             string
	value           T
	ok              bool
}

// GetObjectMeta is for the reflector, which wants to know objects' names.
func (r *record[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: r.namespace, Name: r.name}
}

// namespaced is namespace/name, or the name of what has no namespace.
func namespaced(o metav1.Object) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// Transformer is how a reflector trims what it collects (cache.TransformingStore).
func (f *feed[T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return f.record(object) }
}

func (f *feed[T]) record(object any) (*record[T], error) {
	if r, done := object.(*record[T]); done {
		return r, nil
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return nil, fmt.Errorf("a %T is no object: %w", object, err)
	}
	r := &record[T]{namespace: m.GetNamespace(), name: m.GetName(), key: f.key(m)}
	r.value, r.ok = f.read(object)
	return r, nil
}

func (f *feed[T]) put(c *Change, r *record[T]) {
	_, known := f.keys[r.key]
	switch {
	case r.ok:
		f.keys[r.key] = struct{}{}
		f.set(c, r.key, r.value)
	case known:
		f.drop(c, r.key)
	}
}

func (f *feed[T]) drop(c *Change, key string) {
	delete(f.keys, key)
	f.remove(c, key)
}

// Add is told of an object that is new.
func (f *feed[T]) Add(object any) error {
	r, err := f.record(object)
	if err == nil {
		f.index.Change(func(c *Change) { f.put(c, r) })
	}
	return err
}

// Update is told of an object that changed.
func (f *feed[T]) Update(object any) error { return f.Add(object) }

// Delete is told of an object that has gone.
func (f *feed[T]) Delete(object any) error {
	r, err := f.record(object)
	if err == nil {
		f.index.Change(func(c *Change) { f.drop(c, r.key) })
	}
	return err
}

// Replace is told of all objects that there are.
func (f *feed[T]) Replace(objects []any, _ string) error {
	if f.keys == nil {
		f.keys = make(map[string]struct{}, len(objects))
	}
	there := make(map[string]struct{}, len(objects))
	var failed error
	f.index.Change(func(c *Change) {
		for _, object := range objects {
			r, err := f.record(object)
			if err != nil {
				failed = err
				return
			}
			there[r.key] = struct{}{}
			f.put(c, r)
		}
		for key := range f.keys {
			if _, still := there[key]; !still {
				f.drop(c, key)
			}
		}
	})
	if failed == nil {
		f.synced.Store(true)
	}
	return failed
}

// Resync has nothing to do.
func (f *feed[T]) Resync() error { return nil }
