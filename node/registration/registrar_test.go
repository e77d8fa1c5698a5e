package registration

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// testbed is a registrar that runs beside a kubelet's folder.
type testbed struct {
	*Registrar
	t    *testing.T
	stop func()
}

var quick = pace{look: 2 * time.Millisecond, first: 20 * time.Millisecond, most: 40 * time.Millisecond}

// start runs a registrar in a kubelet's folder until its test ends, or until stop.
func start(t *testing.T, dir string, probe func(context.Context) error, p pace) testbed {
	t.Helper()
	r := New(Options{
		KubeletDir: dir, Driver: "loam.storage", Endpoint: dir + "/plugins/loam.storage/csi.sock",
		Probe: probe, Log: slog.New(slog.DiscardHandler),
	})
	r.pace = p
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	b := testbed{r, t, func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Errorf("the registrar ended with %v", err)
		}
	}}
	t.Cleanup(b.stop)
	return b
}

func ready(context.Context) error { return nil }

// kubeletDir is short, as a socket's path may have 107 bytes.
func kubeletDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kubelet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// await waits until something holds.
func (b testbed) await(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// appeared is the socket file that a kubelet would see, once there is another one than before.
func (b testbed) appeared(before os.FileInfo) (file os.FileInfo) {
	b.t.Helper()
	b.await("a new socket file", func() bool {
		info, err := os.Lstat(b.path)
		file = info
		return err == nil && (before == nil || !same(before, info))
	})
	return file
}

// same compares the times too: a file system may give the number of a removed file to the next.
func same(a, b os.FileInfo) bool { return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) }

// kubelet does what the kubelet does with a socket that appeared (pkg/kubelet/pluginmanager/operationexecutor,
// GenerateRegisterPluginFunc): dial, ask, and tell what became of it.
func (b testbed) kubelet(verdict *registerapi.RegistrationStatus) *registerapi.PluginInfo {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+b.path, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", addr)
		}), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	client := registerapi.NewRegistrationClient(conn)
	info, err := client.GetInfo(ctx, &registerapi.InfoRequest{})
	if err != nil {
		b.t.Fatalf("GetInfo: %v", err)
	}
	if _, err := client.NotifyRegistrationStatus(ctx, verdict); err != nil {
		b.t.Fatalf("NotifyRegistrationStatus: %v", err)
	}
	return info
}

var (
	taken   = &registerapi.RegistrationStatus{PluginRegistered: true}
	refused = &registerapi.RegistrationStatus{Error: "RegisterPlugin error -- no route to host"}
)

func TestKubeletLearnsTheDriver(t *testing.T) {
	dir := kubeletDir(t)
	b := start(t, dir, ready, kubeletsPace)
	b.appeared(nil)
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "has not asked yet") {
		t.Errorf("before the kubelet asked: %v", err)
	}
	info := b.kubelet(taken)
	if b.path != dir+"/plugins_registry/loam.storage-reg.sock" {
		t.Errorf("the socket is %s", b.path)
	}
	if info.GetType() != "CSIPlugin" || info.GetName() != "loam.storage" || info.GetEndpoint() != dir+"/plugins/loam.storage/csi.sock" ||
		len(info.GetSupportedVersions()) != 1 || info.GetSupportedVersions()[0] != "1.0.0" {
		t.Errorf("the kubelet was told %v", info)
	}
	if err := b.Check(); err != nil {
		t.Errorf("after the kubelet took the driver: %v", err)
	}
}

func TestNothingAppearsBeforeTheDriverAnswers(t *testing.T) {
	var up atomic.Bool
	var asked atomic.Int64
	b := start(t, kubeletDir(t), func(context.Context) error {
		asked.Add(1)
		if !up.Load() {
			return errors.New("not yet")
		}
		return nil
	}, quick)
	b.await("some probes", func() bool { return asked.Load() > 3 })
	if _, err := os.Lstat(b.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there before the driver answers (%v)", err)
	}
	up.Store(true)
	b.appeared(nil)
}

func TestRefusalIsCountedAndRegistrationTriedAgain(t *testing.T) {
	b := start(t, kubeletDir(t), ready, quick)
	first := b.appeared(nil)
	b.kubelet(refused)
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "no route to host (failures: 1)") {
		t.Errorf("after a refusal: %v; want the kubelet's words and the count", err)
	}
	b.appeared(first)
	b.kubelet(taken)
	if err := b.Check(); err != nil {
		t.Errorf("after the second attempt: %v", err)
	}
}

func TestKubeletThatMissedTheSocketSeesAnother(t *testing.T) {
	b := start(t, kubeletDir(t), ready, quick)
	b.appeared(b.appeared(nil))
}

func TestRegisteredDriverIsLeftAlone(t *testing.T) {
	b := start(t, kubeletDir(t), ready, pace{look: time.Millisecond, first: time.Minute, most: time.Minute})
	file := b.appeared(nil)
	b.kubelet(taken)
	b.kubelet(taken) // a kubelet that was restarted asks the sockets that it finds
	time.Sleep(20 * time.Millisecond)
	if again := b.appeared(nil); !same(again, file) {
		t.Error("the socket was made anew, which deregisters the driver for a moment")
	}
}

func TestSocketThatIsTakenAwayComesBack(t *testing.T) {
	for name, remove := range map[string]func(path string) error{
		"removed":      os.Remove,
		"folder wiped": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"moved":        func(path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, kubeletDir(t), ready, quick)
			b.appeared(nil)
			b.kubelet(taken)
			if err := remove(b.path); err != nil {
				t.Fatal(err)
			}
			b.appeared(nil)
			b.kubelet(taken)
			if err := b.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConversationOutlivesItsSocketFile(t *testing.T) {
	b := start(t, kubeletDir(t), ready, quick)
	file := b.appeared(nil)
	conn, err := grpc.NewClient("unix:"+b.path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := registerapi.NewRegistrationClient(conn)
	if _, err := client.GetInfo(context.Background(), &registerapi.InfoRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatal(err)
	}
	b.appeared(file)
	if _, err := client.NotifyRegistrationStatus(context.Background(), taken); err != nil {
		t.Errorf("the kubelet could not say that it took the driver: %v", err)
	}
}

func TestSocketStaysForTheNextAgent(t *testing.T) {
	dir := kubeletDir(t)
	old := start(t, dir, ready, kubeletsPace)
	left := old.appeared(nil)
	old.kubelet(taken)
	old.stop()
	if info, err := os.Lstat(old.path); err != nil || !same(info, left) {
		t.Fatalf("the socket did not stay when the agent stopped: %v", err)
	}
	next := start(t, dir, ready, kubeletsPace)
	next.appeared(left)
	next.kubelet(taken)
	if err := next.Check(); err != nil {
		t.Errorf("the next agent: %v", err)
	}
}

func TestAnotherAgentsSocketIsNotTaken(t *testing.T) {
	dir := kubeletDir(t)
	one := start(t, dir, ready, kubeletsPace)
	file := one.appeared(nil)
	two := start(t, dir, ready, quick)
	two.await("a failure", func() bool { err := two.Check(); return err != nil && strings.Contains(err.Error(), "another process") })
	if info, err := os.Lstat(one.path); err != nil || !same(info, file) {
		t.Errorf("the first agent's socket is gone: %v", err)
	}
	one.kubelet(taken)
}
