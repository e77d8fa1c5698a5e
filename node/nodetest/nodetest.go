// Package nodetest starts a real agent inside a test's process, on whatever LVM the machine has.
package nodetest

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node"
	"github.com/loam-storage/loam/node/admin"
)

// Options are what a test says of its agent.
type Options struct {
	Config string // YAML
	Dir    string // kept from an earlier agent, to start it again; "" for a new one

	Observe func(lvm.Command) // told of every lvm process
	Health  string            // host:port of health and metrics; "" for none

	Cluster kubernetes.Interface // with a Node NodeID, for an agent that runs here; nil: it is in no cluster

	KubeletDir string // "" for /
	Binary     string // the loam binary, to run the agent as a process of its own, which can be killed; "" to run it here
}

// Agent is a running agent; it stops when its test ends, or by Stop.
type Agent struct {
	Dir    string // everything of it is below
	Socket string // CSI
	Conn   *grpc.ClientConn
	Admin  *admin.Client
	Stop   func() // waits until it has ended
	Kill   func() // SIGKILL, for an agent that is a process of its own
}

// NodeID is the name of the agent's node.
const NodeID = "node-1"

// Start starts an agent and waits until all of its pools were looked at.
func Start(t testing.TB, o Options) Agent {
	t.Helper()
	a, o := prepare(t, o)
	ended := make(chan struct{})
	if o.Binary == "" {
		a.Stop = a.runHere(t, o, ended)
	} else {
		a.Stop, a.Kill = a.runBinary(t, o, ended)
	}
	t.Cleanup(a.Stop)
	conn, err := grpc.NewClient("unix://"+a.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	a.Conn, a.Admin = conn, admin.NewClient(admin.SocketBeside(a.Socket))
	a.wait(t, ended)
	return a
}

// Command is the agent that Start would run as a process of its own, not started yet: for one that does not live long enough.
func Command(t testing.TB, o Options) *exec.Cmd {
	t.Helper()
	a, o := prepare(t, o)
	return a.command(t, o)
}

// prepare makes what an agent finds when it starts.
func prepare(t testing.TB, o Options) (Agent, Options) {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.KubeletDir == "" {
		o.KubeletDir = "/"
	}
	a := Agent{Dir: o.Dir, Socket: filepath.Join(o.Dir, "csi.sock")}
	if err := os.WriteFile(a.config(), []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	a.adoptLocalLVM(t)
	return a, o
}

func (a Agent) config() string { return filepath.Join(a.Dir, "config.yaml") }
func (a Agent) state() string  { return filepath.Join(a.Dir, "state") }

// adoptLocalLVM gives the agent's LVM what this machine has in lvmlocal.conf, which a guest uses to be quick.
func (a Agent) adoptLocalLVM(t testing.TB) {
	t.Helper()
	local, err := os.ReadFile("/etc/lvm/lvmlocal.conf")
	if err != nil {
		return // no LVM, or nothing local to it
	}
	dir := filepath.Join(a.state(), "lvm")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lvmlocal.conf"), local, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runHere runs an agent in this process.
func (a Agent) runHere(t testing.TB, o Options, ended chan<- struct{}) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(ended)
		failed = node.Run(ctx, node.Options{
			ConfigPath: a.config(), NodeID: NodeID, Socket: a.Socket, AdminSocket: admin.SocketBeside(a.Socket),
			KubeletDir: o.KubeletDir, StateDir: a.state(), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), Observe: o.Observe, HealthAddress: o.Health,
			Client: o.Cluster, NodeName: NodeID, Namespace: "loam-system",
		})
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
		if failed != nil {
			t.Errorf("the agent ended with %v", failed)
		}
	})
}

func (a Agent) command(t testing.TB, o Options) *exec.Cmd {
	cmd := exec.Command(o.Binary, "agent", "--kubernetes=false", "--config", a.config(), "--node-id", NodeID, "--socket", a.Socket,
		"--kubelet-dir", o.KubeletDir, "--state-dir", a.state())
	cmd.Stderr = testWriter{t}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// runBinary runs an agent as a process.
func (a Agent) runBinary(t testing.TB, o Options, ended chan<- struct{}) (stop, kill func()) {
	t.Helper()
	cmd := a.command(t, o)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(ended)
		failed = cmd.Wait()
	}()
	killed := false
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have been killed
		<-done
		if failed != nil && !killed {
			t.Errorf("the agent ended with %v", failed)
		}
	})
	kill = func() {
		killed = true
		_ = cmd.Process.Kill()
		stop()
	}
	return stop, kill
}

// wait returns once the agent's pools were looked at.
func (a Agent) wait(t testing.TB, ended <-chan struct{}) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		ready, err := a.ready()
		if ready {
			return
		}
		select {
		case <-ended:
			t.Fatal("the agent ended at once")
		case <-deadline:
			t.Fatalf("the agent does not become ready (%v)", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ready asks the agent by CSI once its sockets are there: grpc would wait a second after a socket that was not.
func (a Agent) ready() (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := a.Admin.Info(ctx); err != nil {
		return false, err
	}
	answer, err := csi.NewIdentityClient(a.Conn).Probe(ctx, &csi.ProbeRequest{})
	return answer.GetReady().GetValue(), err
}

// testWriter sends the agent's log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("agent: %s", b)
	return len(b), nil
}
