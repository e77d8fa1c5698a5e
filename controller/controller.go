package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/loam-storage/loam/controller/certificates"
	"github.com/loam-storage/loam/controller/metrics"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/mtls"
)

// Options are what a router is told when it starts.
type Options struct {
	Client        kubernetes.Interface
	Dynamic       dynamic.Interface                // for snapshots, whose types are not Kubernetes' own
	Namespace     string                           // the install's, where the agents' pods are
	Socket        string                           // path of the unix socket for the sidecars
	AgentPort     int                              // TCP port of CSI in the agents' pods
	Credentials   credentials.TransportCredentials // toward the agents; nil for mTLS with certificates that it keeps itself
	HealthAddress string                           // of /healthz, /readyz and /metrics, plain HTTP; "" for none
	Version       string
	Log           *slog.Logger
}

// stopTimeout bounds the wait for calls at work when the router stops. What an agent began goes on without it, and the sidecar's
// retry, by way of the next router, finds it.
const stopTimeout = 10 * time.Second

// Run is the router. It serves once it knows the agents, until the context ends.
func Run(ctx context.Context, o Options) error {
	keepCertificates := func(context.Context) {}
	if o.Credentials == nil {
		manager := &certificates.Manager{Client: o.Client, Namespace: o.Namespace, Log: o.Log}
		o.Credentials, keepCertificates = mtls.ClientCredentials(manager, mtls.AgentName), manager.Run
	}
	agents, err := newAgents(o.Client, o.Namespace, dialing{o.AgentPort, o.Credentials})
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: o.Client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	router := &Router{
		agents: agents, client: o.Client, namespace: o.Namespace, version: o.Version, log: o.Log, metrics: metrics.New(agents.count, o.Version),
		events: broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "loam-controller"}),
	}
	group, ctx := errgroup.WithContext(ctx)
	var serving atomic.Bool
	if o.HealthAddress != "" {
		if err := serveHealth(ctx, group, o.HealthAddress, healthHandler(&serving, router.metrics.Handler())); err != nil {
			return err
		}
	}
	group.Go(func() error { keepCertificates(ctx); return nil })
	group.Go(func() error { return newAdviser(o.Client, o.Namespace, o.Log).run(ctx) })
	for _, lost := range []lost{lostVolumes(router, o.Client), lostSnapshots(router, o.Dynamic)} {
		group.Go(func() error {
			(&orphans{client: o.Client, log: o.Log, lost: lost, observe: router.metrics.Orphans}).run(ctx)
			return nil
		})
	}
	watch, stopWatching := context.WithCancel(context.WithoutCancel(ctx)) // calls at work need their connections
	group.Go(func() error { agents.run(watch); return nil })
	group.Go(func() error {
		defer stopWatching()
		if !cache.WaitForCacheSync(ctx.Done(), agents.pods.HasSynced) {
			return nil // told to stop meanwhile
		}
		sick := &ailing{client: o.Client, log: o.Log, healths: router.healths, observe: router.metrics.Ailing}
		group.Go(func() error { sick.run(ctx); return nil })
		return router.serve(ctx, o.Socket, &serving)
	})
	return group.Wait()
}

// serve answers the sidecars until the context ends and calls at work have, or stopTimeout has passed.
func (r *Router) serve(ctx context.Context, socket string, serving *atomic.Bool) error {
	listener, err := listen(ctx, socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(r.intercept))
	r.register(server)
	var group errgroup.Group
	stopped := make(chan struct{})
	group.Go(func() error { defer close(stopped); return server.Serve(listener) })
	group.Go(func() error {
		select {
		case <-stopped:
			return nil
		case <-ctx.Done():
		}
		serving.Store(false)
		r.log.Info("stopping: no new calls")
		impatient := time.AfterFunc(stopTimeout, server.Stop)
		defer impatient.Stop()
		server.GracefulStop()
		return nil
	})
	serving.Store(true)
	r.log.InfoContext(ctx, "serving", "version", r.version, "csi", socket, "agents", len(r.agents.nodes()))
	return group.Wait()
}

// listen makes a unix socket for its user and group, in place of one that a killed router left behind.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s exists and is not a socket", path)
		}
		if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("%s: another process is serving there", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
	}
	mask := syscall.Umask(0o117) // before there is a moment in which others could connect
	defer syscall.Umask(mask)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return l, nil
}

// serveHealth serves in the group until the context ends.
func serveHealth(ctx context.Context, group *errgroup.Group, address string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("health address: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return nil
}

// healthHandler serves /healthz, which answers as long as the process does, /readyz and /metrics.
func healthHandler(serving *atomic.Bool, figures http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+metric.Path, figures)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !serving.Load() {
			http.Error(w, "not serving: still reading which agents there are, or stopping", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
