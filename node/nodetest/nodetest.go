// Package nodetest starts a real agent inside a test's process, on whatever LVM the machine has.
package nodetest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node"
	"github.com/loam-storage/loam/node/admin"
)

// Options are what a test says of its agent.
type Options struct {
	Config string // YAML
	Dir    string // kept from an earlier agent, to start it again; "" for a new one

	Observe func(lvm.Command) // told of every lvm process
}

// Agent is a running agent; it stops when its test ends, or by Stop.
type Agent struct {
	Dir    string // everything of it is below
	Socket string // CSI
	Conn   *grpc.ClientConn
	Admin  *admin.Client
	Stop   func() // waits until it has ended
}

// NodeID is the name of the agent's node.
const NodeID = "node-1"

// Start starts an agent and waits until all of its pools were looked at.
func Start(t testing.TB, o Options) Agent {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	a := Agent{Dir: o.Dir, Socket: filepath.Join(o.Dir, "csi.sock")}
	config := filepath.Join(o.Dir, "config.yaml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Options{
			ConfigPath: config, NodeID: NodeID, Socket: a.Socket, AdminSocket: filepath.Join(o.Dir, "admin.sock"),
			KubeletDir: "/", StateDir: filepath.Join(o.Dir, "state"), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
			Observe: o.Observe,
		})
	}()
	stopped := false
	a.Stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the agent ended with %v", err)
		}
	}
	t.Cleanup(a.Stop)
	conn, err := grpc.NewClient("unix://"+a.Socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	a.Conn, a.Admin = conn, admin.NewClient(filepath.Join(o.Dir, "admin.sock"))
	a.wait(t, ended)
	return a
}

func (a Agent) wait(t testing.TB, ended <-chan error) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := a.Admin.Info(ctx)
		cancel()
		if err == nil {
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("the agent ended at once: %v", err)
		case <-deadline:
			t.Fatalf("the agent does not answer: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// testWriter sends the agent's log to the test's.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("agent: %s", b)
	return len(b), nil
}
