package controller

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/loam-storage/loam/controller/metrics"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
)

const testNamespace = "loam-system"

// fakeAgent is an agent in memory: it has room, volumes by name, and says no when told to.
type fakeAgent struct {
	csi.UnimplementedControllerServer
	node string

	mu        sync.Mutex
	room      lvm.Bytes
	volumes   []string         // logical volumes
	snapshots []string         // logical volumes
	asked     []string         // methods, in order
	refuse    map[string]error // by method
	after     func(method string)
}

// note counts a call in and returns what it is refused with.
func (f *fakeAgent) note(method string) error {
	f.mu.Lock()
	f.asked = append(f.asked, method)
	err, after := f.refuse[method], f.after
	f.mu.Unlock()
	if after != nil {
		after(method)
	}
	return err
}

func (f *fakeAgent) set(change func(*fakeAgent)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeAgent) count(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, m := range f.asked {
		if m == method {
			n++
		}
	}
	return n
}

func (f *fakeAgent) id(lv string) string { return volume.ID{Node: f.node, LV: lv}.String() }

func (f *fakeAgent) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if err := f.note("CreateVolume"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	lv, size := volume.VolumeLV(req.GetName()), lvm.Bytes(req.GetCapacityRange().GetRequiredBytes())
	if !slices.Contains(f.volumes, lv) {
		if size > f.room {
			return nil, status.Errorf(codes.ResourceExhausted, "%s has room for %v", f.node, f.room)
		}
		f.room -= size
		f.volumes = append(f.volumes, lv)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: f.id(lv), CapacityBytes: int64(size)}}, nil
}

func (f *fakeAgent) ControllerGetVolume(_ context.Context, req *csi.ControllerGetVolumeRequest) (*csi.ControllerGetVolumeResponse, error) {
	if err := f.note("ControllerGetVolume"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, lv := range f.volumes {
		if f.id(lv) == req.GetVolumeId() {
			return &csi.ControllerGetVolumeResponse{Volume: &csi.Volume{VolumeId: f.id(lv)}}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such volume")
}

func (f *fakeAgent) ControllerGetVolumeHealth(_ context.Context, req *csi.ControllerGetVolumeHealthRequest) (*csi.ControllerGetVolumeHealthResponse, error) {
	return &csi.ControllerGetVolumeHealthResponse{VolumeHealth: &csi.VolumeHealth{VolumeId: req.GetVolumeId()}}, f.note("ControllerGetVolumeHealth")
}

// ControllerListVolumeHealth has something to say of each volume.
func (f *fakeAgent) ControllerListVolumeHealth(_ context.Context, req *csi.ControllerListVolumeHealthRequest) (*csi.ControllerListVolumeHealthResponse, error) {
	if err := f.note("ControllerListVolumeHealth"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &csi.ControllerListVolumeHealthResponse{}
	cut, next := fakePage(f.volumes, req)
	for _, lv := range cut {
		answer.Entries = append(answer.Entries, &csi.VolumeHealth{VolumeId: f.id(lv)})
	}
	answer.NextToken = next
	return answer, nil
}

func (f *fakeAgent) GetCapacity(context.Context, *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	if err := f.note("GetCapacity"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &csi.GetCapacityResponse{
		AvailableCapacity: int64(f.room), MaximumVolumeSize: wrapperspb.Int64(int64(f.room)), MinimumVolumeSize: wrapperspb.Int64(1),
	}, nil
}

func (f *fakeAgent) DeleteVolume(context.Context, *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	return &csi.DeleteVolumeResponse{}, f.note("DeleteVolume")
}

func (f *fakeAgent) DeleteSnapshot(context.Context, *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	return &csi.DeleteSnapshotResponse{}, f.note("DeleteSnapshot")
}

func (f *fakeAgent) ControllerExpandVolume(_ context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: req.GetCapacityRange().GetRequiredBytes()}, f.note("ControllerExpandVolume")
}

func (f *fakeAgent) ValidateVolumeCapabilities(context.Context, *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	return &csi.ValidateVolumeCapabilitiesResponse{Message: f.node}, f.note("ValidateVolumeCapabilities")
}

func (f *fakeAgent) CreateSnapshot(_ context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	return &csi.CreateSnapshotResponse{Snapshot: &csi.Snapshot{SnapshotId: f.id(volume.SnapshotLV(req.GetName()))}}, f.note("CreateSnapshot")
}

func (f *fakeAgent) GetSnapshot(_ context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	return &csi.GetSnapshotResponse{Snapshot: &csi.Snapshot{SnapshotId: req.GetSnapshotId()}}, f.note("GetSnapshot")
}

func (f *fakeAgent) ListVolumes(_ context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	if err := f.note("ListVolumes"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &csi.ListVolumesResponse{}
	cut, next := fakePage(f.volumes, req)
	for _, lv := range cut {
		answer.Entries = append(answer.Entries, &csi.ListVolumesResponse_Entry{Volume: &csi.Volume{VolumeId: f.id(lv)}})
	}
	answer.NextToken = next
	return answer, nil
}

func (f *fakeAgent) ListSnapshots(_ context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	if err := f.note("ListSnapshots"); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	answer := &csi.ListSnapshotsResponse{}
	cut, next := fakePage(f.snapshots, req)
	for _, lv := range cut {
		if req.GetSnapshotId() == "" || req.GetSnapshotId() == f.id(lv) {
			answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: &csi.Snapshot{SnapshotId: f.id(lv)}})
		}
	}
	answer.NextToken = next
	return answer, nil
}

// fakePage cuts a page whose token is the number of what came before.
func fakePage(all []string, req interface {
	GetStartingToken() string
	GetMaxEntries() int32
}) (cut []string, next string) {
	from, _ := strconv.Atoi(req.GetStartingToken())
	all = all[min(from, len(all)):]
	if most := int(req.GetMaxEntries()); most > 0 && most < len(all) {
		return all[:most], strconv.Itoa(from + most)
	}
	return all, ""
}

// bed is a router with its agents, each on a loopback address of its own, and a Kubernetes in memory.
type bed struct {
	t      *testing.T
	client *fake.Clientset
	csi.ControllerClient
	identity csi.IdentityClient
	port     int
	health   string // host:port
	log      *lockedBuffer
}

// newBed starts a router that knows no agent yet.
func newBed(t *testing.T) *bed {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	health, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, client: fake.NewClientset(), port: probe.Addr().(*net.TCPAddr).Port, health: health.Addr().String(), log: &lockedBuffer{}}
	health.Close()
	b.run()
	return b
}

func (b *bed) run() {
	b.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	socket := b.t.TempDir() + "/csi.sock"
	go func() {
		ended <- Run(ctx, Options{
			Client: b.client, Namespace: testNamespace, Socket: socket, AgentPort: b.port, Version: "test", HealthAddress: b.health,
			Credentials: insecure.NewCredentials(), Log: slog.New(slog.NewTextHandler(b.log, nil)),
		})
	}()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: time.Second}}),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.ControllerClient, b.identity = csi.NewControllerClient(conn), csi.NewIdentityClient(conn)
	b.t.Cleanup(func() {
		stop()
		conn.Close()
		if err := <-ended; err != nil {
			b.t.Errorf("the router ended with %v", err)
		}
	})
}

// router is one beside the one that runs, to be asked for what sidecars cannot; it knows that many nodes.
func (b *bed) router(nodes int) (*Router, context.Context) {
	b.t.Helper()
	agents, err := newAgents(b.client, testNamespace, dialing{b.port, insecure.NewCredentials()})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { agents.run(ctx) })
	b.t.Cleanup(func() { stop(); running.Wait() })
	b.until("all agents known", func() bool { return len(agents.nodes()) == nodes })
	return &Router{agents: agents, metrics: metrics.New(agents.count, "")}, ctx
}

// agent adds a node n1 to n9 with a ready agent that has that much room, and waits until the router knows it.
func (b *bed) agent(node string, room lvm.Bytes) *fakeAgent {
	b.t.Helper()
	f := &fakeAgent{node: node, room: room, refuse: map[string]error{}}
	address := "127.0.0." + strings.TrimPrefix(node, "n")
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(b.port)))
	if err != nil {
		b.t.Fatal(err)
	}
	server := grpc.NewServer()
	csi.RegisterControllerServer(server, f)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(listener) }()
	b.t.Cleanup(func() { server.Stop(); <-ended })
	b.node(node)
	b.pod(testPod{node: node, ip: address, ready: true})
	b.until("the agent of "+node, func() bool { return b.probe(node) == codes.OK })
	f.set(func(f *fakeAgent) { f.asked = nil })
	return f
}

// probe asks a node's agent for something harmless.
func (b *bed) probe(node string) codes.Code {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := b.GetSnapshot(ctx, &csi.GetSnapshotRequest{SnapshotId: node + "/probe"})
	return status.Code(err)
}

func (b *bed) node(name string) {
	b.t.Helper()
	if _, err := b.client.CoreV1().Nodes().Create(context.Background(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) removeNode(name string) {
	b.t.Helper()
	if err := b.client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.client.CoreV1().Pods(testNamespace).Delete(context.Background(), "agent-"+name, metav1.DeleteOptions{}); err != nil {
		b.t.Fatal(err)
	}
	b.until(name+" gone", func() bool { return b.probe(name) == codes.NotFound })
}

// notReady takes an agent away.
func (b *bed) notReady(node string) {
	b.t.Helper()
	pod := testPod{node: node, ip: "127.0.0.200"}.object()
	if _, err := b.client.CoreV1().Pods(testNamespace).Update(context.Background(), pod, metav1.UpdateOptions{}); err != nil {
		b.t.Fatal(err)
	}
	b.until(node+" away", func() bool { return b.probe(node) == codes.Unavailable })
}

func (b *bed) pod(p testPod) {
	b.t.Helper()
	if _, err := b.client.CoreV1().Pods(testNamespace).Create(context.Background(), p.object(), metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) until(what string, done func() bool) {
	b.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// testPod is an agent's pod.
type testPod struct {
	node, name, ip string
	ready, going   bool
	age            time.Duration
}

func (p testPod) object() *corev1.Pod {
	if p.name == "" {
		p.name = "agent-" + p.node
	}
	state := corev1.ConditionFalse
	if p.ready {
		state = corev1.ConditionTrue
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.name, Namespace: testNamespace, UID: types.UID("uid-" + p.name),
			Labels:            map[string]string{"app.kubernetes.io/name": "loam", "app.kubernetes.io/component": "agent"},
			CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-p.age)),
		},
		Spec: corev1.PodSpec{NodeName: p.node, Containers: []corev1.Container{{Name: "agent"}}},
		Status: corev1.PodStatus{PodIP: p.ip, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: state},
		}},
	}
	if p.going {
		now := metav1.NewTime(time.Unix(1e9, 0))
		pod.DeletionTimestamp = &now
	}
	return pod
}

// lockedBuffer is a log that a test may read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func on(nodes ...string) []*csi.Topology {
	var all []*csi.Topology
	for _, node := range nodes {
		all = append(all, &csi.Topology{Segments: map[string]string{topologyKey: node}})
	}
	return all
}

func creation(name string, size lvm.Bytes, preferred ...string) *csi.CreateVolumeRequest {
	req := &csi.CreateVolumeRequest{Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: int64(size)}}
	if len(preferred) > 0 {
		req.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: on(preferred...), Preferred: on(preferred...)}
	}
	return req
}

func wantCode(t *testing.T, err error, code codes.Code, says ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("got %v, want code %v", err, code)
	}
	for _, s := range says {
		if !strings.Contains(fmt.Sprint(err), s) {
			t.Errorf("%v does not say %q", err, s)
		}
	}
}
