package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	csipb "github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/mtls"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/capacity"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
)

// testbed is an agent that serves on a fake LVM, with one pool that nobody brings up.
type testbed struct {
	*agent
	t       *testing.T
	conn    *grpc.ClientConn
	health  string // URL
	remote  string // where controllers are served
	stopped func() error
}

func serveTestbed(t *testing.T, kubernetes bool) testbed {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent") // short, as a socket's path may have 107 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(file, []byte("pools:\n- {name: fast, devices: {paths: [/dev/a]}}\n"), 0o600))
	watcher, err := config.NewWatcher(file)
	must(t, err)
	log := slog.New(slog.DiscardHandler)
	pools := pool.New(lvmtest.NewFake(map[string]lvm.Bytes{"/dev/a": lvm.GiB}), log)
	pools.Configure(watcher.Config())
	socket := filepath.Join(dir, "plugins", Driver, "csi.sock")
	watch := monitor.New(pools, log, nil)
	numbers := func() (lvm.Numbers, error) { return nil, nil }
	publisher := &capacity.Publisher{}
	a := &agent{pools: pools, watcher: watcher, monitor: watch, publisher: publisher, metrics: metrics.New(measured(pools, watch, publisher, numbers), "test"), Options: Options{
		NodeID: "n1", ConfigPath: file, Socket: socket, AdminSocket: admin.SocketBeside(socket), KubeletDir: dir, StateDir: dir,
		Log: log, Kubernetes: kubernetes, HealthAddress: "127.0.0.1:0", Listen: "127.0.0.1:0", TLSDir: filepath.Join(dir, "tls"),
	}}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := a.open(ctx)
	must(t, err)
	group, ctx := errgroup.WithContext(ctx)
	a.serve(ctx, group, l)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	must(t, err)
	t.Cleanup(func() {
		conn.Close()
		cancel()
		_ = group.Wait()
	})
	return testbed{a, t, conn, "http://" + l.health.Addr().String(), l.remote.Addr().String(), func() error { cancel(); return group.Wait() }}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b testbed) wantHealth(path string, code int, part string) {
	b.t.Helper()
	resp, err := http.Get(b.health + path)
	must(b.t, err)
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != code || !strings.Contains(string(body), part) {
		b.t.Errorf("%s: %d %q, %v; want %d with %q", path, resp.StatusCode, body, err, code, part)
	}
}

func (b testbed) probe() bool {
	b.t.Helper()
	answer, err := csipb.NewIdentityClient(b.conn).Probe(context.Background(), &csipb.ProbeRequest{})
	must(b.t, err)
	return answer.GetReady().GetValue()
}

// reg is the path of the socket for the kubelet.
func (b testbed) reg() string {
	return filepath.Join(b.KubeletDir, "plugins_registry", "loam.storage-reg.sock")
}

func TestAgentServesWhilePoolsAreBroughtUp(t *testing.T) {
	b, ctx := serveTestbed(t, true), context.Background()
	client := admin.NewClient(b.AdminSocket)
	t.Cleanup(client.Close)

	if b.probe() {
		t.Error("CSI is ready before the pools were brought up")
	}
	b.wantHealth("/healthz", 200, "ok")
	b.wantHealth("/readyz", 503, "pools are being brought up")
	_, err := csipb.NewControllerClient(b.conn).GetCapacity(ctx, &csipb.GetCapacityRequest{})
	if status.Code(err) != codes.Unavailable || !strings.Contains(status.Convert(err).Message(), "pools are being brought up") {
		t.Errorf("capacity: %v; want UNAVAILABLE", err)
	}
	pools, err := client.Pools(ctx)
	if err != nil || len(pools) != 1 || pools[0].Name != "fast" || pools[0].Ready || pools[0].Problem != "pools are being brought up" {
		t.Errorf("pools: %+v, %v", pools, err)
	}
	_, disksErr := client.Disks(ctx)
	_, volumesErr := client.Volumes(ctx)
	for what, err := range map[string]error{"disks": disksErr, "volumes": volumesErr} {
		var e *admin.Error
		if !errors.As(err, &e) || e.Code != http.StatusServiceUnavailable || e.Message != "pools are being brought up" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := os.Lstat(b.reg()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kubelet is told before the pools were brought up (%v)", err)
	}

	b.up.Store(true)
	if !b.probe() {
		t.Error("CSI is not ready, and the pools were brought up")
	}
	if _, err := csipb.NewControllerClient(b.conn).GetCapacity(ctx, &csipb.GetCapacityRequest{}); err != nil {
		t.Errorf("capacity: %v", err)
	}
	if _, err := client.Volumes(ctx); err != nil {
		t.Errorf("volumes: %v", err)
	}
	b.wantHealth("/readyz", 503, "has not asked")
}

func TestAgentIsReadyOnceTheKubeletTookIt(t *testing.T) {
	b := serveTestbed(t, true)
	b.up.Store(true)
	conn, err := grpc.NewClient("unix:"+b.reg(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	must(t, err)
	defer conn.Close()
	kubelet := registerapi.NewRegistrationClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	info, err := kubelet.GetInfo(ctx, &registerapi.InfoRequest{}, grpc.WaitForReady(true))
	must(t, err)
	if info.GetName() != "loam.storage" || info.GetEndpoint() != b.Socket {
		t.Errorf("the kubelet was told %v", info)
	}
	_, err = kubelet.NotifyRegistrationStatus(ctx, &registerapi.RegistrationStatus{PluginRegistered: true})
	must(t, err)
	newAuthority(t).folder(b.TLSDir, mtls.AgentName)
	b.wantHealth("/readyz", 200, "ok")

	if err := b.stopped(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if _, err := os.Lstat(b.reg()); err != nil {
		t.Errorf("the socket for the kubelet did not stay: %v", err)
	}
	if _, err := os.Lstat(b.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the CSI socket stayed (%v)", err)
	}
}

func TestStandaloneAgentLeavesTheKubeletAlone(t *testing.T) {
	b := serveTestbed(t, false)
	b.up.Store(true)
	newAuthority(t).folder(b.TLSDir, mtls.AgentName)
	b.wantHealth("/readyz", 200, "ok")
	must(t, b.stopped())
	if _, err := os.Stat(filepath.Dir(b.reg())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kubelet's folder was made (%v)", err)
	}
}

func TestSocketsAreGivenBackWhenOneCannotBeHad(t *testing.T) {
	dir := t.TempDir()
	o := Options{Socket: filepath.Join(dir, "csi.sock"), AdminSocket: filepath.Join(dir, "admin.sock"), HealthAddress: "127.0.0.1:no"}
	if _, err := o.open(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "health: ") {
		t.Fatalf("got %v; want why health cannot be served", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("%v stayed, %v", left, err)
	}
}
