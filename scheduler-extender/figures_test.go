package extender

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/published"
)

const (
	figureNodes  = 5000
	figureClaims = 100_000
	figurePods   = 400 // for each line of the table
)

// TestFigures prints what `loam scheduler-extender` costs beside a Kubernetes of 5,000 nodes and 100,000 claims that is none: it
// streams objects as kube-apiserver does, and hears of the nodes that are chosen.
func TestFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" {
		t.Skip("prints figures, and tests nothing: make bench")
	}
	api := newAPI()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	x := startExtender(t, server.URL)
	time.Sleep(2 * time.Second) // it gives memory back
	fmt.Printf("\nscheduler extender at %d nodes with 3 classes and %d claims\n", figureNodes, figureClaims)
	fmt.Printf("  %.1fs until it has read them (%d MB), %d MB resident, of which %d MB are its program's file\n",
		x.synced.Seconds(), api.sent.Load()>>20, x.resident(t), x.memory(t, "RssFile:"))
	fmt.Println("filter and prioritize together, over HTTP, for a pod with 3 claims, while 200 capacities a second change")
	fmt.Printf("  %9s  %10s  %10s  %10s  %14s\n", "nodes", "at a time", "p50", "p99", "bytes answered")
	stop := api.publish()
	pods := 0
	for _, nodes := range []int{100, 500, 1000, 5000} {
		for _, together := range []int{1, 16} {
			took, answered := x.load(t, api, pods, nodes, together)
			pods += figurePods
			fmt.Printf("  %9d  %10d  %10v  %10v  %14d\n", nodes, together, round(took[len(took)/2]), round(took[len(took)*99/100]), answered)
		}
	}
	stop()
	fmt.Printf("  %d MB resident afterwards, at most %d MB; %.1f bytes of log for each pod\n", x.resident(t), x.peak(t), float64(x.log.Load())/float64(pods))
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// running is the program at work.
type running struct {
	url    string
	pid    int
	synced time.Duration
	log    atomic.Int64 // bytes
}

// Write counts what it logs.
func (x *running) Write(b []byte) (int, error) {
	x.log.Add(int64(len(b)))
	return len(b), nil
}

func startExtender(t *testing.T, api string) *running {
	t.Helper()
	program, err := filepath.Abs("../bin/loam")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": %q}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]}`, api)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address, health := freeAddress(t), freeAddress(t)
	x := &running{url: "http://" + address}
	cmd := exec.CommandContext(t.Context(), program, "scheduler-extender", "--kubeconfig", kubeconfig, "--address", address, "--health-address", health)
	cmd.Stderr = x
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make build)", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	x.pid = cmd.Process.Pid
	for ready := false; !ready; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 5*time.Minute {
			t.Fatal("not ready after five minutes")
		}
		if answer, err := http.Get("http://" + health + "/readyz"); err == nil {
			ready = answer.StatusCode == http.StatusOK
			answer.Body.Close()
		}
	}
	x.synced = time.Since(begun)
	x.log.Store(0)
	return x
}

func (x *running) resident(t *testing.T) int { return x.memory(t, "VmRSS:") }
func (x *running) peak(t *testing.T) int     { return x.memory(t, "VmHWM:") }

// memory is a figure of the kernel's, in MB.
func (x *running) memory(t *testing.T, which string) (kB int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), which)
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB >> 10
}

// load places pods as kube-scheduler does, so many at a time, and returns how long each took to be answered, in order.
func (x *running) load(t *testing.T, api *apiServer, first, nodes, together int) (took []time.Duration, answered int) {
	var names []string
	for n := range nodes {
		names = append(names, nodeName(n*(figureNodes/nodes)))
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	var next atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	defer client.CloseIdleConnections()
	for range together {
		work.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= figurePods {
					return
				}
				d, size := x.place(t, api, client, first+n, names)
				mu.Lock()
				took, answered = append(took, d), size
				mu.Unlock()
			}
		})
	}
	work.Wait()
	slices.Sort(took)
	return took, answered
}

func (x *running) place(t *testing.T, api *apiServer, client *http.Client, number int, names []string) (took time.Duration, answered int) {
	pod := schedulersPod(fmt.Sprint("pod-", number), pendingName(number, 0), pendingName(number, 1), pendingName(number, 2))
	var fit extenderv1.ExtenderFilterResult
	var scores extenderv1.HostPriorityList
	took, answered = x.ask(t, client, "/filter", &extenderv1.ExtenderArgs{Pod: pod, NodeNames: &names}, &fit)
	if fit.NodeNames == nil || len(*fit.NodeNames) == 0 {
		t.Errorf("pod %d fits nowhere: %+v", number, fit.Error)
		return took, answered
	}
	second, size := x.ask(t, client, "/prioritize", &extenderv1.ExtenderArgs{Pod: pod, NodeNames: fit.NodeNames}, &scores)
	best := slices.MaxFunc(scores, func(a, b extenderv1.HostPriority) int { return int(a.Score - b.Score) })
	for k := range len(classNames) {
		api.send("persistentvolumeclaims", pending(number, k, best.Host))
	}
	return took + second, answered + size
}

func (x *running) ask(t *testing.T, client *http.Client, verb string, args *extenderv1.ExtenderArgs, into any) (took time.Duration, size int) {
	body, err := json.Marshal(args)
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	begun := time.Now()
	answer, err := client.Post(x.url+verb, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer answer.Body.Close()
	var whole bytes.Buffer
	whole.Grow(1 << 20)
	_, err = whole.ReadFrom(answer.Body)
	took = time.Since(begun)
	text := whole.Bytes()
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(text, into) != nil {
		t.Errorf("%s: %d, %.200s, %v", verb, answer.StatusCode, text, err)
	}
	return took, len(text)
}

// apiServer streams what there is of each kind, and then what changes (Kubernetes, "API concepts": streaming lists).
type apiServer struct {
	sent atomic.Int64 // bytes

	mu       sync.Mutex
	watchers map[string]chan runtime.Object // by resource; the extender alone watches, each kind once
}

func newAPI() *apiServer { return &apiServer{watchers: map[string]chan runtime.Object{}} }

func (a *apiServer) channel(resource string) chan runtime.Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.watchers[resource] == nil {
		a.watchers[resource] = make(chan runtime.Object, 1000)
	}
	return a.watchers[resource]
}

func (a *apiServer) send(resource string, o runtime.Object) { a.channel(resource) <- o }

// ServeHTTP answers a watch that begins with all there is. There are no snapshots.
func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	all, last := objects(kind)
	if last == nil || r.URL.Query().Get("sendInitialEvents") != "true" {
		http.NotFound(w, r)
		return
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	frames := info.StreamSerializer.NewFrameWriter(w)
	encoder := scheme.Codecs.EncoderForVersion(info.Serializer, schema.GroupVersions{corev1.SchemeGroupVersion, storagev1.SchemeGroupVersion})
	event := func(what string, o runtime.Object) bool {
		var object, whole bytes.Buffer
		if err := encoder.Encode(o, &object); err != nil {
			panic(err)
		}
		if err := info.StreamSerializer.Encode(&metav1.WatchEvent{Type: what, Object: runtime.RawExtension{Raw: object.Bytes()}}, &whole); err != nil {
			panic(err)
		}
		n, err := frames.Write(whole.Bytes())
		a.sent.Add(int64(n))
		return err == nil
	}
	all(func(o runtime.Object) bool { return event("ADDED", o) })
	event("BOOKMARK", last)
	for changed := a.channel(kind); ; {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case o := <-changed:
			event("MODIFIED", o)
		}
	}
}

// publish changes 200 capacities a second until it is told to stop.
func (a *apiServer) publish() (stop func()) {
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
				a.send("csistoragecapacities", offered(n%figureNodes, n/figureNodes%len(classNames), lvm.TiB-lvm.Bytes(n)*lvm.MiB))
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
					yield(offered(n, k, lvm.TiB))
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

// stored is what kube-apiserver adds to an object: mostly who wrote which of its fields.
func stored(m metav1.ObjectMeta) metav1.ObjectMeta {
	m.ResourceVersion, m.CreationTimestamp = "1", metav1.Now()
	m.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(strings.Repeat(`{"f:metadata":{}}`, 50)),
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

// offered is what a node's agent publishes for a class, with the volumes that it counted.
func offered(n, class int, room lvm.Bytes) *storagev1.CSIStorageCapacity {
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
