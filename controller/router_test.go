package controller

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
	nodecsi "github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/pool"
)

func TestRouterAnswersForItselfAsAgentsDo(t *testing.T) {
	fake := lvmtest.NewFake(map[string]lvm.Bytes{"/dev/a": 100 * lvm.GiB})
	pools := pool.New(fake, nil)
	c, err := config.Parse("test", []byte("pools: [{name: fast, type: thin, devices: {paths: [/dev/a]}}]"))
	if err != nil {
		t.Fatal(err)
	}
	pools.Configure(c)
	agent, router, ctx := &nodecsi.Driver{Version: "v", Pools: pools}, &Router{version: "v"}, context.Background()
	if nodecsi.Name != driverName || nodecsi.TopologyKey != topologyKey {
		t.Errorf("the router is %s with %s, and agents are %s with %s", driverName, topologyKey, nodecsi.Name, nodecsi.TopologyKey)
	}
	same := func(what string, got, want proto.Message, err error) {
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v; agents answer %v", what, got, err, want)
		}
	}
	info, err := router.GetPluginInfo(ctx, nil)
	wantInfo, _ := agent.GetPluginInfo(ctx, nil)
	same("GetPluginInfo", info, wantInfo, err)
	plugin, err := router.GetPluginCapabilities(ctx, nil)
	wantPlugin, _ := agent.GetPluginCapabilities(ctx, nil)
	same("GetPluginCapabilities", plugin, wantPlugin, err)
	capabilities, err := router.ControllerGetCapabilities(ctx, nil)
	wantCapabilities, _ := agent.ControllerGetCapabilities(ctx, nil)
	same("ControllerGetCapabilities", capabilities, wantCapabilities, err)
	probe, err := router.Probe(ctx, nil)
	wantProbe, _ := agent.Probe(ctx, nil)
	same("Probe", probe, wantProbe, err)
}

func TestCallsGoToTheNodeInTheID(t *testing.T) {
	b := newBed(t)
	n1, n2 := b.agent("n1", lvm.GiB), b.agent("n2", lvm.GiB)
	ctx := context.Background()
	calls := map[string]func() error{
		"DeleteVolume": func() error {
			_, err := b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "n2/x"})
			return err
		},
		"DeleteSnapshot": func() error {
			_, err := b.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: "n2/snap-x"})
			return err
		},
		"ControllerExpandVolume": func() error {
			_, err := b.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: "n2/x"})
			return err
		},
		"ControllerGetVolume": func() error {
			_, err := b.ControllerGetVolume(ctx, &csi.ControllerGetVolumeRequest{VolumeId: "n2/x"})
			return err
		},
		"ControllerGetVolumeHealth": func() error {
			_, err := b.ControllerGetVolumeHealth(ctx, &csi.ControllerGetVolumeHealthRequest{VolumeId: "n2/x"})
			return err
		},
		"ValidateVolumeCapabilities": func() error {
			_, err := b.ValidateVolumeCapabilities(ctx, &csi.ValidateVolumeCapabilitiesRequest{
				VolumeId: "n2/x", VolumeCapabilities: []*csi.VolumeCapability{{}},
			})
			return err
		},
		"CreateSnapshot": func() error {
			_, err := b.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "s", SourceVolumeId: "n2/x"})
			return err
		},
		"GetSnapshot": func() error {
			_, err := b.GetSnapshot(ctx, &csi.GetSnapshotRequest{SnapshotId: "n2/snap-x"})
			return err
		},
		"ListSnapshots": func() error {
			_, err := b.ListSnapshots(ctx, &csi.ListSnapshotsRequest{SourceVolumeId: "n2/x"})
			return err
		},
		"GetCapacity": func() error {
			_, err := b.GetCapacity(ctx, &csi.GetCapacityRequest{AccessibleTopology: on("n2")[0]})
			return err
		},
		"CreateVolume": func() error {
			_, err := b.CreateVolume(ctx, creation("v", lvm.MiB, "n2"))
			return err
		},
	}
	n2.set(func(f *fakeAgent) { f.volumes = []string{"x"} })
	for method, call := range calls {
		if err := call(); err != nil || n2.count(method) != 1 {
			t.Errorf("%s: %v; n2 was asked %d times", method, err, n2.count(method))
		}
	}
	// The agent's refusal is the caller's, word for word, details and all.
	refusal, err := status.New(codes.FailedPrecondition, "in use").WithDetails(wrapperspb.String("why"))
	if err != nil {
		t.Fatal(err)
	}
	for method, call := range calls {
		n2.set(func(f *fakeAgent) { f.refuse = map[string]error{method: refusal.Err()} })
		if got := status.Convert(call()); !proto.Equal(got.Proto(), refusal.Proto()) {
			t.Errorf("%s: got %v, want %v", method, got.Proto(), refusal.Proto())
		}
	}
	for method := range calls { // the router asks all nodes for ailing volumes by itself
		if n := n1.count(method); n > 0 {
			t.Errorf("n1 was asked for %s %d times", method, n)
		}
	}
	if log := b.log.String(); !strings.Contains(log, "msg=call method=DeleteVolume") || !strings.Contains(log, "volume=n2/x node=n2") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestMalformedRequestsReachNobody(t *testing.T) {
	r, ctx := &Router{}, context.Background()
	_, err := r.CreateVolume(ctx, &csi.CreateVolumeRequest{})
	wantCode(t, err, codes.InvalidArgument, "name")
	_, err = r.DeleteVolume(ctx, &csi.DeleteVolumeRequest{})
	wantCode(t, err, codes.InvalidArgument, "volume_id")
	_, err = r.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "../x"})
	wantCode(t, err, codes.OK)
	_, err = r.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: "nonsense"})
	wantCode(t, err, codes.OK)
	_, err = r.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: "nonsense"})
	wantCode(t, err, codes.NotFound, "volume_id")
	_, err = r.ControllerGetVolume(ctx, &csi.ControllerGetVolumeRequest{})
	wantCode(t, err, codes.InvalidArgument, "volume_id")
	_, err = r.ControllerGetVolumeHealth(ctx, &csi.ControllerGetVolumeHealthRequest{})
	wantCode(t, err, codes.InvalidArgument, "volume_id")
	_, err = r.ValidateVolumeCapabilities(ctx, &csi.ValidateVolumeCapabilitiesRequest{VolumeId: "n1/x"})
	wantCode(t, err, codes.InvalidArgument, "volume_capabilities")
	_, err = r.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "s"})
	wantCode(t, err, codes.InvalidArgument, "source_volume_id")
	_, err = r.GetSnapshot(ctx, &csi.GetSnapshotRequest{SnapshotId: "n1"})
	wantCode(t, err, codes.NotFound, "snapshot_id")
	answer, err := r.GetCapacity(ctx, &csi.GetCapacityRequest{AccessibleTopology: &csi.Topology{Segments: map[string]string{"zone": "a"}}})
	if err != nil || answer.GetAvailableCapacity() != 0 {
		t.Errorf("capacity of a foreign topology: %v, %v", answer, err)
	}
}

func TestImmediateBindingTakesTheNodeWithMostRoom(t *testing.T) {
	b := newBed(t)
	n1, _, n3 := b.agent("n1", 10*lvm.GiB), b.agent("n2", 30*lvm.GiB), b.agent("n3", 30*lvm.GiB)
	ctx := context.Background()
	create := func(name string, size lvm.Bytes) string {
		t.Helper()
		answer, err := b.CreateVolume(ctx, creation(name, size))
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetVolume().GetVolumeId()
	}
	for _, c := range []struct{ name, want string }{{"a", "n2/a"}, {"b", "n3/b"}, {"a", "n2/a"}, {"c", "n2/c"}} {
		if got := create(c.name, 5*lvm.GiB); got != c.want {
			t.Errorf("%s became %s, want %s", c.name, got, c.want)
		}
	}
	// One that measured itself wrong says no, and the next gets it.
	n3.set(func(f *fakeAgent) { f.refuse["CreateVolume"] = status.Error(codes.ResourceExhausted, "n3 is full") })
	if got := create("d", 5*lvm.GiB); got != "n2/d" {
		t.Errorf("d became %s, want n2/d", got)
	}
	_, err := b.CreateVolume(ctx, creation("e", 100*lvm.GiB))
	wantCode(t, err, codes.ResourceExhausted, "n3 is full")
	n1.set(func(f *fakeAgent) { f.refuse["GetCapacity"] = status.Error(codes.InvalidArgument, "no pool") })
	if got := create("f", lvm.GiB); got != "n2/f" {
		t.Errorf("f became %s, want n2/f", got)
	}
	if total, err := b.GetCapacity(ctx, &csi.GetCapacityRequest{}); err != nil || lvm.Bytes(total.GetAvailableCapacity()) != (14+25)*lvm.GiB {
		t.Errorf("all have %v, %v; want 39 GiB", total, err)
	}
}

func TestLostAnswerMakesNoSecondVolume(t *testing.T) {
	b := newBed(t)
	n1, n2 := b.agent("n1", 10*lvm.GiB), b.agent("n2", 9*lvm.GiB)
	ctx := context.Background()
	// n1 does not get to it in time, and is busy with it still when the sidecar asks again.
	n1.set(func(f *fakeAgent) { f.refuse["CreateVolume"] = status.Error(codes.DeadlineExceeded, "goes on") })
	_, err := b.CreateVolume(ctx, creation("a", lvm.GiB))
	wantCode(t, err, codes.DeadlineExceeded)
	n1.set(func(f *fakeAgent) { f.room, f.refuse["CreateVolume"] = 0, status.Error(codes.Aborted, "still at work") })
	_, err = b.CreateVolume(ctx, creation("a", lvm.GiB))
	wantCode(t, err, codes.Aborted)
	// While it is away, nobody else is asked either.
	b.notReady("n1")
	_, err = b.CreateVolume(ctx, creation("a", lvm.GiB))
	wantCode(t, err, codes.Unavailable, "node n1 is away", "agent-n1")
	if n2.count("CreateVolume") > 0 {
		t.Error("n2 was asked for a volume that n1 may have")
	}
	// Gone for good, it is given up, and the next attempt begins anew.
	b.removeNode("n1")
	_, err = b.CreateVolume(ctx, creation("a", lvm.GiB))
	wantCode(t, err, codes.ResourceExhausted, "node n1 is no longer in the cluster")
	answer, err := b.CreateVolume(ctx, creation("a", lvm.GiB))
	if err != nil || answer.GetVolume().GetVolumeId() != "n2/a" {
		t.Errorf("got %v, %v; want n2/a", answer, err)
	}
}

func TestNewRouterFindsWhatTheOldOneMade(t *testing.T) {
	b := newBed(t)
	n1, n2 := b.agent("n1", 10*lvm.GiB), b.agent("n2", 9*lvm.GiB)
	n1.set(func(f *fakeAgent) { f.volumes, f.room = []string{"a"}, 0 }) // its answer was lost with the old router
	answer, err := b.CreateVolume(context.Background(), creation("a", lvm.GiB, "n2", "n1"))
	if err != nil || answer.GetVolume().GetVolumeId() != "n1/a" || n2.count("CreateVolume") > 0 {
		t.Errorf("got %v, %v, and n2 was asked %d times; want n1/a", answer, err, n2.count("CreateVolume"))
	}
}

func TestOneCreationOfANameAtATime(t *testing.T) {
	b := newBed(t)
	n1 := b.agent("n1", 10*lvm.GiB)
	at, proceed := make(chan struct{}), make(chan struct{})
	n1.set(func(f *fakeAgent) {
		f.after = func(method string) {
			if method == "CreateVolume" {
				at <- struct{}{}
				<-proceed
			}
		}
	})
	first := make(chan error, 1)
	go func() {
		_, err := b.CreateVolume(context.Background(), creation("a", lvm.GiB))
		first <- err
	}()
	<-at
	_, err := b.CreateVolume(context.Background(), creation("a", lvm.GiB))
	wantCode(t, err, codes.Aborted, "still at work")
	close(proceed)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestDeadlinePassesOn(t *testing.T) {
	b := newBed(t)
	n1 := b.agent("n1", lvm.GiB)
	proceed := make(chan struct{})
	defer close(proceed)
	n1.set(func(f *fakeAgent) { f.after = func(string) { <-proceed } })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := b.CreateVolume(ctx, creation("a", lvm.GiB, "n1"))
	wantCode(t, err, codes.DeadlineExceeded)
}

func TestNodeThatIsAwayIsUnavailable(t *testing.T) {
	b := newBed(t)
	n1 := b.agent("n1", lvm.GiB)
	b.node("n2") // in the cluster, without an agent
	ctx := context.Background()
	_, err := b.CreateVolume(ctx, creation("a", lvm.GiB, "n2"))
	wantCode(t, err, codes.Unavailable, "node n2 is away: there is no agent's pod on it")
	_, err = b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "n2/x"})
	wantCode(t, err, codes.Unavailable)
	n1.set(func(f *fakeAgent) { f.volumes, f.snapshots = []string{"x"}, []string{"snap-x"} })
	b.notReady("n1")
	_, err = b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "n1/x"})
	wantCode(t, err, codes.Unavailable, "agent-n1")
	_, err = b.ListVolumes(ctx, &csi.ListVolumesRequest{})
	wantCode(t, err, codes.Unavailable, "n1")
	_, err = b.ListSnapshots(ctx, &csi.ListSnapshotsRequest{SnapshotId: "n1/snap-x"})
	wantCode(t, err, codes.Unavailable, "n1")
	_, err = b.GetCapacity(ctx, &csi.GetCapacityRequest{})
	wantCode(t, err, codes.Unavailable, "n1")
	_, err = b.CreateVolume(ctx, creation("a", lvm.GiB))
	wantCode(t, err, codes.Unavailable, "n1")
}

func TestNodeThatLeftTheCluster(t *testing.T) {
	b := newBed(t)
	ctx := context.Background()
	for _, pv := range []struct{ name, handle string }{{"pvc-1", "n9/pvc-1"}, {"pvc-2", "n1/pvc-2"}} {
		_, err := b.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: pv.name, UID: "uid-1"},
			Spec: corev1.PersistentVolumeSpec{PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: pv.handle},
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.CreateVolume(ctx, creation("a", lvm.GiB, "n9"))
	wantCode(t, err, codes.ResourceExhausted, "node n9 is no longer in the cluster")
	_, err = b.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: "n9/x"})
	wantCode(t, err, codes.NotFound, "n9")
	capacity, err := b.GetCapacity(ctx, &csi.GetCapacityRequest{AccessibleTopology: on("n9")[0]})
	if err != nil || capacity.GetAvailableCapacity() != 0 {
		t.Errorf("capacity: %v, %v; want none", capacity, err)
	}
	snapshots, err := b.ListSnapshots(ctx, &csi.ListSnapshotsRequest{SnapshotId: "n9/snap-x"})
	if err != nil || len(snapshots.GetEntries()) > 0 {
		t.Errorf("snapshots: %v, %v; want none", snapshots, err)
	}
	for _, id := range []string{"n9/pvc-1", "n9/pvc-2"} {
		_, err = b.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id})
		wantCode(t, err, codes.OK)
	}
	_, err = b.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: "n9/snap-1"})
	wantCode(t, err, codes.OK)
	want := []string{"Namespace/loam-system: snapshot n9/snap-1", "Namespace/loam-system: volume n9/pvc-2", "PersistentVolume/pvc-1: volume n9/pvc-1"}
	var got []string
	b.until("three events", func() bool {
		got = nil
		events, err := b.client.CoreV1().Events("").List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.Reason == "DataNotWiped" && strings.Contains(e.Message, "was not wiped") {
				got = append(got, fmt.Sprintf("%s/%s: %s", e.InvolvedObject.Kind, e.InvolvedObject.Name, wordsAbout(e.Message)))
			}
		}
		return len(got) == 3
	})
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("events are %q, want %q", got, want)
	}
}

// wordsAbout are kind and ID in an event's message.
func wordsAbout(message string) string {
	_, rest, _ := strings.Cut(message, ": ")
	return strings.Join(strings.Fields(rest)[:2], " ")
}

func TestListsPageThroughAllNodesInOrder(t *testing.T) {
	b := newBed(t)
	var want []string
	for _, node := range []string{"n1", "n2", "n3"} {
		f := b.agent(node, lvm.GiB)
		if node == "n2" {
			continue // has none
		}
		f.set(func(f *fakeAgent) {
			for i := range 5 {
				f.volumes = append(f.volumes, fmt.Sprintf("v%d", i))
				f.snapshots = append(f.snapshots, fmt.Sprintf("snap-%d", i))
				want = append(want, f.id(f.volumes[i]))
			}
		})
	}
	ctx := context.Background()
	for most := range int32(12) {
		var got []string
		req := &csi.ListVolumesRequest{MaxEntries: most}
		for pages := 0; ; pages++ {
			answer, err := b.ListVolumes(ctx, req)
			if err != nil || most > 0 && len(answer.GetEntries()) > int(most) || pages > 20 {
				t.Fatalf("page %d of %d: %v, %v", pages, most, answer, err)
			}
			for _, e := range answer.GetEntries() {
				got = append(got, e.GetVolume().GetVolumeId())
			}
			if req.StartingToken = answer.GetNextToken(); req.StartingToken == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %v, want %v", most, got, want)
		}
	}
	snapshots, err := b.ListSnapshots(ctx, &csi.ListSnapshotsRequest{SnapshotId: "n3/snap-2"})
	if err != nil || len(snapshots.GetEntries()) != 1 || snapshots.GetEntries()[0].GetSnapshot().GetSnapshotId() != "n3/snap-2" {
		t.Errorf("one snapshot: %v, %v", snapshots, err)
	}
	_, err = b.ListVolumes(ctx, &csi.ListVolumesRequest{StartingToken: "nonsense"})
	wantCode(t, err, codes.Aborted, "starting_token")
	_, err = b.ListVolumes(ctx, &csi.ListVolumesRequest{MaxEntries: -1})
	wantCode(t, err, codes.InvalidArgument, "max_entries")
}

func TestNewPodTakesOver(t *testing.T) {
	b := newBed(t)
	old := b.agent("n1", lvm.GiB)
	b.notReady("n1")
	b.pod(testPod{node: "n1", name: "agent-new", ip: "127.0.0.1", ready: true})
	b.until("the new pod", func() bool { return b.probe("n1") == codes.OK })
	if old.count("GetSnapshot") == 0 {
		t.Error("the new pod was not asked")
	}
	if err := b.client.CoreV1().Pods(testNamespace).Delete(context.Background(), "agent-new", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.until("the end of the new pod", func() bool { return b.probe("n1") == codes.Unavailable })
}

func TestPanicIsOneCallsError(t *testing.T) {
	r := &Router{log: slog.New(slog.DiscardHandler)}
	_, err := r.guard(context.Background(), "CreateVolume", nil, func(context.Context, any) (any, error) { panic("boom") })
	wantCode(t, err, codes.Internal, "CreateVolume", "boom")
}

func TestReadyOnceServing(t *testing.T) {
	var serving atomic.Bool
	handler := healthHandler(&serving, http.NotFoundHandler())
	get := func(path string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code
	}
	if get("/healthz") != http.StatusOK || get("/readyz") != http.StatusServiceUnavailable {
		t.Error("ready before serving")
	}
	serving.Store(true)
	if get("/readyz") != http.StatusOK {
		t.Error("not ready while serving")
	}
}
