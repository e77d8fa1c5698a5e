package extender

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/mtls"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

func pvc(name string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-" + name), Annotations: map[string]string{}},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new("fast"),
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("6Gi")}},
		},
		Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func chosen(node string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Annotations[selectedNode] = node }
}

func pv(claim, node string) *corev1.PersistentVolume {
	name := "pvc-uid-" + claim
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("6Gi")},
		ClaimRef: &corev1.ObjectReference{Namespace: "ns", Name: claim},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
			Driver: driverName, VolumeHandle: node + "/" + name, VolumeAttributes: map[string]string{"pool": "fast"},
		}},
	}}
}

func storageClass(name string, change ...func(*storagev1.StorageClass)) *storagev1.StorageClass {
	c := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: driverName, Parameters: map[string]string{"pool": "fast"},
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func capacity(node string, gib int64, volumes ...string) *storagev1.CSIStorageCapacity {
	pools := published.Pools{"fast": {Available: lvm.Bytes(gib) * lvm.GiB, Extent: extent, Volumes: published.Of(volumes)}}
	return &storagev1.CSIStorageCapacity{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "loam-system", Name: node + "-fast", Labels: map[string]string{"app.kubernetes.io/managed-by": "loam-agent"},
			Annotations:     map[string]string{published.Annotation: pools.String()},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: node + ".example"}},
		},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{topologyKey: node}},
		StorageClassName: "fast",
		Capacity:         resource.NewQuantity(gib<<30, resource.BinarySI), MaximumVolumeSize: resource.NewQuantity(gib<<30, resource.BinarySI),
	}
}

func object(kind, namespace, name string, content map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: content}
	o.SetGroupVersionKind(snapshotGroup.WithKind(kind))
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func TestObjectsAreReadAsValues(t *testing.T) {
	full := claimOf(pvc("c", chosen("a"), func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: "s"}
	}))
	if want := (Claim{UID: "uid-c", Class: "fast", Node: "a", Size: 6 * lvm.GiB, Source: Source{"VolumeSnapshot", "ns/s"}}); full != want {
		t.Errorf("claim %+v, want %+v", full, want)
	}
	elsewhere := claimOf(pvc("c", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "s", Namespace: new("other")}
		c.Spec.StorageClassName = nil
	}))
	if want := (Claim{UID: "uid-c", Size: 6 * lvm.GiB, Source: Source{"PersistentVolumeClaim", "other/s"}}); elsewhere != want {
		t.Errorf("claim %+v, want %+v", elsewhere, want)
	}
	lost := claimOf(pvc("c", chosen("a"), func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName, c.Status.Phase = "v", corev1.ClaimLost }))
	if lost.Node != "" || lost.Volume != "v" {
		t.Errorf("a claim that lost its volume is %+v, want one that waits for nothing", lost)
	}
	v, claim, ok := volumeOf(pv("c", "a"))
	if want := (Volume{volume.ID{Node: "a", LV: "pvc-uid-c"}, "fast", 6 * lvm.GiB}); !ok || v != want || claim != "ns/c" {
		t.Errorf("volume %+v of %s, %v; want %+v", v, claim, ok, want)
	}
	for what, change := range map[string]func(*corev1.PersistentVolume){
		"another driver's":    func(v *corev1.PersistentVolume) { v.Spec.CSI.Driver = "other" },
		"an ID of no agent's": func(v *corev1.PersistentVolume) { v.Spec.CSI.VolumeHandle = "x" },
		"no CSI":              func(v *corev1.PersistentVolume) { v.Spec.CSI = nil },
	} {
		o := pv("c", "a")
		change(o)
		if _, _, ok := volumeOf(o); ok {
			t.Errorf("%s: taken for ours", what)
		}
	}
	class, ok := classOf(storageClass("fast", func(c *storagev1.StorageClass) { c.Parameters["placement"] = "binpack" }))
	if want := (Class{Pool: "fast", Waits: true, Binpack: true}); !ok || class != want {
		t.Errorf("class %+v, %v; want %+v", class, ok, want)
	}
	if _, ok := classOf(storageClass("x", func(c *storagev1.StorageClass) { c.Provisioner = "other" })); ok {
		t.Error("another provisioner's class is taken for ours")
	}
	offer, ok := offerOf(capacity("a", 10, "v"))
	if !ok || offer.Node != "a.example" || offer.ID != "a" || offer.Largest != 10*lvm.GiB || !offer.Pools["fast"].Volumes.Has(published.Key("v")) {
		t.Errorf("offer %+v, %v", offer, ok)
	}
	bare := capacity("a", 10)
	bare.Annotations, bare.MaximumVolumeSize = map[string]string{published.Annotation: "nonsense"}, nil
	if offer, ok := offerOf(bare); !ok || offer.Pools != nil || offer.Largest != 10*lvm.GiB {
		t.Errorf("offer without detail %+v, %v; want its figures", offer, ok)
	}
	bare.Capacity = nil
	if _, ok := offerOf(bare); ok {
		t.Error("an object without a capacity is taken for an offer")
	}
}

// cluster is an extender at work beside a Kubernetes that is none.
type cluster struct {
	t       *testing.T
	client  *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	url     string
	http    *http.Client
	log     *bytes.Buffer
}

var snapshotLists = map[schema.GroupVersionResource]string{
	snapshotGroup.WithResource("volumesnapshots"):        "VolumeSnapshotList",
	snapshotGroup.WithResource("volumesnapshotcontents"): "VolumeSnapshotContentList",
}

func newCluster(t *testing.T, options func(*Options), objects ...runtime.Object) *cluster {
	c := &cluster{t: t, client: fake.NewClientset(objects...), log: &bytes.Buffer{}, http: &http.Client{Transport: &http.Transport{}}, url: "http://"}
	c.client.Resources = []*metav1.APIResourceList{{GroupVersion: snapshotGroup.String(), APIResources: []metav1.APIResource{{Name: "volumesnapshots"}}}}
	c.dynamic = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), snapshotLists,
		object("VolumeSnapshot", "ns", "snap", map[string]any{"status": map[string]any{"readyToUse": true, "boundVolumeSnapshotContentName": "content"}}),
		object("VolumeSnapshotContent", "", "content", map[string]any{"spec": map[string]any{"driver": driverName}, "status": map[string]any{"snapshotHandle": "b/snap-1"}}),
	)
	o := Options{
		Client: c.client, Dynamic: c.dynamic, Namespace: "loam-system", Address: freeAddress(t), HealthAddress: freeAddress(t), Log: slog.New(slog.DiscardHandler),
	}
	if options != nil {
		options(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	c.url += o.Address
	c.eventually("ready", func() bool {
		answer, err := http.Get("http://" + o.HealthAddress + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return c
}

func (c *cluster) eventually(what string, is func() bool) {
	c.t.Helper()
	for until := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			c.t.Fatalf("%s: not in 20 s", what)
		}
	}
}

// fits are the nodes of a and b that a pod fits on.
func (c *cluster) fits(claims ...string) string {
	names := []string{"a.example", "b.example"}
	body, _ := json.Marshal(&extenderv1.ExtenderArgs{Pod: schedulersPod("pod-"+strings.Join(claims, "-"), claims...), NodeNames: &names})
	answer, err := c.http.Post(c.url+"/filter", "application/json", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	var result extenderv1.ExtenderFilterResult
	if err := json.Unmarshal(text, &result); err != nil || result.NodeNames == nil {
		return fmt.Sprint(answer.StatusCode, string(text), err)
	}
	return strings.Join(*result.NodeNames, " ")
}

func (c *cluster) expect(when, fit string, claims ...string) {
	c.t.Helper()
	got := ""
	defer func() {
		if c.t.Failed() {
			c.t.Logf("%s: fits on %q, want %q", when, got, fit)
		}
	}()
	c.eventually(when, func() bool { got = c.fits(claims...); return got == fit })
}

func TestTheExtenderFollowsTheCluster(t *testing.T) {
	c := newCluster(t, nil,
		storageClass("fast"), capacity("a", 10), capacity("b", 10),
		pvc("one"), pvc("two"), pvc("going", chosen("b.example")),
		pvc("restored", func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: "snap"}
			c.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("1Gi")
		}),
	)
	claims, ctx := c.client.CoreV1().PersistentVolumeClaims("ns"), t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.expect("b is taken by the claim that goes there", "a.example", "one")
	c.expect("a snapshot on b", "b.example", "restored")
	must(nil, claims.Delete(ctx, "restored", metav1.DeleteOptions{})) // or it is in placement
	must(claims.Update(ctx, pvc("one", chosen("a.example")), metav1.UpdateOptions{}))
	c.expect("a is taken, too", "", "two")
	must(nil, claims.Delete(ctx, "going", metav1.DeleteOptions{}))
	c.expect("b is free again", "b.example", "two")
	must(c.client.StorageV1().CSIStorageCapacities("loam-system").Update(ctx, capacity("a", 20), metav1.UpdateOptions{}))
	c.expect("a is larger", "a.example b.example", "two")
	must(c.client.CoreV1().PersistentVolumes().Create(ctx, pv("one", "a"), metav1.CreateOptions{}))
	must(claims.Update(ctx, pvc("one", chosen("a.example"), func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pvc-uid-one" }), metav1.UpdateOptions{}))
	c.expect("the claim is bound", "a.example", "one")
	must(c.client.StorageV1().CSIStorageCapacities("loam-system").Update(ctx, capacity("a", 6, "pvc-uid-one"), metav1.UpdateOptions{}))
	c.expect("its volume is counted", "a.example b.example", "two")
	must(nil, c.client.StorageV1().StorageClasses().Delete(ctx, "fast", metav1.DeleteOptions{}))
	c.expect("no class of ours, none of our business", "a.example b.example", "two")
}

func TestSnapshotsMayComeLater(t *testing.T) {
	client := fake.NewClientset()
	index := NewIndex()
	w := &watcher{client: client, dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), snapshotLists), index: index, log: slog.New(slog.DiscardHandler)}
	if there, err := w.haveSnapshots(); err != nil || there {
		t.Errorf("a cluster without snapshots: %v, %v", there, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	for until := time.Now().Add(20 * time.Second); !index.IsReady(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not ready without snapshots")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTLSWithAndWithoutClientCertificates(t *testing.T) {
	server, client := certificates(t)
	for _, c := range []struct {
		name, clientName string
		shows            *tls.Certificate
		works            bool
	}{
		{"no certificate asked for", "", nil, true},
		{"the right one", "kube-scheduler", client, true},
		{"none", "kube-scheduler", nil, false},
		{"another's", "somebody", client, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newCluster(t, func(o *Options) { o.Certificates, o.ClientName = server, c.clientName })
			cl.url = strings.Replace(cl.url, "http:", "https:", 1)
			config := mtls.Client(server, "loam-scheduler-extender")
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if c.shows == nil {
					return &tls.Certificate{}, nil
				}
				return c.shows, nil
			}
			cl.http.Transport = &http.Transport{TLSClientConfig: config}
			defer cl.http.CloseIdleConnections()
			if got := cl.fits(); (got == "a.example b.example") != c.works {
				t.Errorf("answered %q; want it to work: %v", got, c.works)
			}
		})
	}
}

func TestTheExtenderReadsAndDoesNothingElse(t *testing.T) {
	c := newCluster(t, nil, storageClass("fast"))
	allowed := []string{"list", "watch"}
	for _, a := range slices.Concat(c.client.Actions(), c.dynamic.Actions()) {
		if a.GetResource().Group == "" && a.GetVerb() == "get" && a.GetResource().Resource == "resource" {
			continue // discovery
		}
		if !slices.Contains(allowed, a.GetVerb()) {
			t.Errorf("%s %s", a.GetVerb(), a.GetResource())
		}
	}
}
