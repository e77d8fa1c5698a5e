package extender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/mtls"
)

// Options are what a scheduler extender is told when it starts.
type Options struct {
	Client        kubernetes.Interface
	Dynamic       dynamic.Interface // for snapshots, whose types are not Kubernetes' own
	Namespace     string            // the install's, where agents publish
	Address       string            // of /filter and /prioritize
	HealthAddress string            // of /healthz, /readyz and /metrics, plain HTTP; "" for none
	Certificates  mtls.Source       // nil for plain HTTP
	ClientName    string            // the DNS name in the certificate that clients must show; "": they need none
	Version       string
	Log           *slog.Logger
}

// Longest times of a connection. kube-scheduler keeps its connections, and asks at least every few minutes in a busy cluster.
const (
	readTimeout  = 30 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 5 * time.Minute
	stopTimeout  = 5 * time.Second
)

// Run serves until the context ends. It needs to list and watch StorageClasses, PersistentVolumes, PersistentVolumeClaims, Pods,
// VolumeSnapshots, VolumeSnapshotContents, and CSIStorageCapacities in its namespace; nothing else.
func Run(ctx context.Context, o Options) error {
	index := NewIndex()
	counted := newMetrics(index, o.Version)
	group, ctx := errgroup.WithContext(ctx)
	main := &http.Server{Handler: newHandler(index, counted, o.Log), TLSConfig: tlsConfig(o), ReadHeaderTimeout: readTimeout}
	if err := serve(ctx, group, o.Address, main); err != nil {
		return err
	}
	if o.HealthAddress != "" {
		if err := serve(ctx, group, o.HealthAddress, &http.Server{Handler: healthHandler(index, counted), ReadHeaderTimeout: readTimeout}); err != nil {
			return err
		}
	}
	o.Log.InfoContext(ctx, "reading what there is", "version", o.Version, "address", o.Address, "tls", o.Certificates != nil)
	w := &watcher{client: o.Client, dynamic: o.Dynamic, namespace: o.Namespace, index: index, log: o.Log}
	group.Go(func() error { return w.run(ctx) })
	return group.Wait()
}

// tlsConfig is nil for plain HTTP.
func tlsConfig(o Options) *tls.Config {
	if o.Certificates == nil {
		return nil
	}
	config := mtls.Server(o.Certificates, o.ClientName)
	if o.ClientName == "" {
		config.ClientAuth, config.VerifyConnection = tls.NoClientCert, nil
	}
	return config
}

// serve serves in the group until the context ends and requests at work have been answered.
func serve(ctx context.Context, group *errgroup.Group, address string, s *http.Server) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = readTimeout, writeTimeout, idleTimeout
	s.MaxHeaderBytes = 16 << 10
	s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug) // handshakes of port scanners
	group.Go(func() error {
		serving := s.Serve
		if s.TLSConfig != nil {
			serving = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
		}
		if err := serving(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return errors.Join(s.Shutdown(last), s.Close())
	})
	return nil
}

// healthHandler serves /healthz, which answers as long as the process does, /readyz and /metrics.
func healthHandler(index *Index, m *metrics) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !index.IsReady() {
			http.Error(w, "not ready: still reading what there is", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET "+metric.Path, m.handler())
	return mux
}
