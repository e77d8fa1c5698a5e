package extender

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/published"
)

// apiServer streams what there is of each kind, and then what changes (Kubernetes, "API concepts": streaming lists). It shares
// its processors with what is measured, so events are made before they are needed wherever that can be.
type apiServer struct {
	sent atomic.Int64 // bytes

	mu       sync.Mutex
	watchers map[string]chan []byte // events by resource; the extender alone watches, each kind once
}

func newAPI() *apiServer { return &apiServer{watchers: map[string]chan []byte{}} }

func (a *apiServer) channel(resource string) chan []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watchers[resource] == nil {
		a.watchers[resource] = make(chan []byte, 1000)
	}
	return a.watchers[resource]
}

func (a *apiServer) send(resource string, event []byte) { a.channel(resource) <- event }

// protobuf is how kube-apiserver writes to a client of Kubernetes' own types.
var protobuf, _ = runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)

// event is one of a watch.
func event(what string, o runtime.Object) []byte {
	var object, whole bytes.Buffer
	encoder := scheme.Codecs.EncoderForVersion(protobuf.Serializer, schema.GroupVersions{corev1.SchemeGroupVersion, storagev1.SchemeGroupVersion})
	if err := encoder.Encode(o, &object); err != nil {
		panic(err)
	}
	if err := protobuf.StreamSerializer.Encode(&metav1.WatchEvent{Type: what, Object: runtime.RawExtension{Raw: object.Bytes()}}, &whole); err != nil {
		panic(err)
	}
	return whole.Bytes()
}

// ServeHTTP answers a watch that begins with all there is. There are no snapshots.
func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	all, last := objects(kind)
	if last == nil || r.URL.Query().Get("sendInitialEvents") != "true" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	frames := protobuf.StreamSerializer.NewFrameWriter(w)
	write := func(event []byte) {
		n, _ := frames.Write(event) // if it fails, the extender has gone
		a.sent.Add(int64(n))
	}
	all(func(o runtime.Object) bool { write(event("ADDED", o)); return r.Context().Err() == nil })
	write(event("BOOKMARK", last))
	for changed := a.channel(kind); ; {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case e := <-changed:
			write(e)
		}
	}
}

// publish changes 200 capacities a second until it is told to stop. They are made before, and told again after 25 seconds.
func (a *apiServer) publish() (stop func()) {
	var events [][]byte
	for n := range figureNodes {
		at := n * 7 % figureNodes // everywhere, not one after another
		events = append(events, event("MODIFIED", publishedBy(at, n%len(classNames), roomOf(at)-lvm.Bytes(n)*lvm.MiB)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				a.send("csistoragecapacities", events[n%len(events)])
			}
		}
	})
	return func() { cancel(); work.Wait() }
}

var classNames = []string{"fast", "fast-xfs", "slow"}

func nodeName(n int) string {
	return fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n/250, n%250)
}

func pendingName(pod, k int) string { return fmt.Sprintf("data-%d-%d", pod, k) }

// objects are all there is of one kind, and a bookmark that ends them; nil for a kind that there is not.
func objects(kind string) (all func(yield func(runtime.Object) bool), last runtime.Object) {
	end := metav1.ObjectMeta{ResourceVersion: "2", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}
	switch kind {
	case "storageclasses":
		return func(yield func(runtime.Object) bool) {
			for _, name := range classNames {
				c := storageClass(name)
				c.Parameters["pool"] = strings.TrimSuffix(name, "-xfs")
				c.ObjectMeta = stored(c.ObjectMeta)
				yield(c)
			}
		}, &storagev1.StorageClass{ObjectMeta: end}
	case "csistoragecapacities":
		return func(yield func(runtime.Object) bool) {
			for n := range figureNodes {
				for k := range classNames {
					yield(publishedBy(n, k, roomOf(n)))
				}
			}
		}, &storagev1.CSIStorageCapacity{ObjectMeta: end}
	case "persistentvolumes":
		return func(yield func(runtime.Object) bool) {
			for n := range figureClaims {
				v := pv(claimName(n), fmt.Sprint("node-", n%figureNodes))
				v.Spec.CSI.VolumeHandle = nodeName(n%figureNodes) + "/" + lvName(n)
				v.ObjectMeta = stored(v.ObjectMeta)
				yield(v)
			}
		}, &corev1.PersistentVolume{ObjectMeta: end}
	case "persistentvolumeclaims":
		return func(yield func(runtime.Object) bool) {
			for n := range figureClaims {
				c := pvc(claimName(n), chosen(nodeName(n%figureNodes)))
				c.Spec.VolumeName, c.Status.Phase = "pvc-uid-"+claimName(n), corev1.ClaimBound
				c.ObjectMeta = stored(c.ObjectMeta)
				yield(c)
			}
			for pod := range 8 * figurePods {
				for k := range classNames {
					yield(pending(pod, k, ""))
				}
			}
		}, &corev1.PersistentVolumeClaim{ObjectMeta: end}
	case "pods":
		return func(func(runtime.Object) bool) {}, &corev1.Pod{ObjectMeta: end}
	}
	return nil, nil
}

func claimName(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n) }

func lvName(n int) string { return "pvc-uid-" + claimName(n) }

// fields is 1 kB of them.
var fields = func() string {
	text := `{"f:metadata":{"f:name":{}`
	for n := range 50 {
		text += fmt.Sprintf(`,"f:field-%02d":{}`, n)
	}
	return text + "}}"
}()

// stored is what kube-apiserver adds to an object: mostly who wrote which of its fields.
func stored(m metav1.ObjectMeta) metav1.ObjectMeta {
	m.ResourceVersion, m.CreationTimestamp = "1", metav1.Now()
	m.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(fields),
	}}
	return m
}

// pending is a claim of a pod that is to be placed, or was placed on a node.
func pending(pod, k int, node string) *corev1.PersistentVolumeClaim {
	c := pvc(pendingName(pod, k))
	c.Spec.StorageClassName = &classNames[k]
	if node != "" {
		chosen(node)(c)
	}
	c.ObjectMeta = stored(c.ObjectMeta)
	return c
}

// roomOf is what a node has free: no two the same, in no order.
func roomOf(n int) lvm.Bytes { return lvm.TiB/2 + lvm.Bytes(n*2654435761%(1<<17))*4*lvm.MiB }

// publishedBy is what a node's agent publishes for a class, with the volumes that it counted.
func publishedBy(n, class int, room lvm.Bytes) *storagev1.CSIStorageCapacity {
	var lvs []string
	for at := n; at < figureClaims; at += figureNodes {
		lvs = append(lvs, lvName(at))
	}
	pool := strings.TrimSuffix(classNames[class], "-xfs")
	if pool != "fast" {
		lvs = nil
	}
	c := capacity(nodeName(n), 1)
	c.Name, c.StorageClassName, c.OwnerReferences[0].Name = fmt.Sprintf("loam-%d-%d", n, class), classNames[class], nodeName(n)
	c.UID = types.UID(c.Name)
	c.Annotations[published.Annotation] = published.Pools{pool: {Available: room, Extent: extent, Volumes: published.Of(lvs)}}.String()
	c.Capacity, c.MaximumVolumeSize = resource.NewQuantity(int64(room), resource.BinarySI), resource.NewQuantity(int64(room), resource.BinarySI)
	c.ObjectMeta = stored(c.ObjectMeta)
	return c
}
