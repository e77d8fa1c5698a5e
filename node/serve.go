package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/mtls"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/health"
	"github.com/loam-storage/loam/node/registration"
	"github.com/loam-storage/loam/node/socket"
)

// probesApart is how long at least a controller must let pass between two probes of a connection (controller.KeepaliveInterval).
const probesApart = 10 * time.Second

// listeners are where the agent is asked.
type listeners struct {
	csi       net.Listener
	operators net.Listener
	remote    net.Listener // for controllers; nil for none
	health    net.Listener // nil for none
	driver    *health.Driver
}

// open makes the agent's sockets, and none if one of them cannot be had.
func (o Options) open(ctx context.Context) (l listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if l.csi, err = listen(ctx, o.Socket); err != nil {
		return l, err
	}
	if l.operators, err = listen(ctx, o.AdminSocket); err != nil {
		return l, err
	}
	if l.remote, err = listenTCP(ctx, o.Listen); err != nil {
		return l, fmt.Errorf("CSI for controllers: %w", err)
	}
	if l.health, err = listenTCP(ctx, o.HealthAddress); err != nil {
		return l, fmt.Errorf("health: %w", err)
	}
	l.driver, err = health.NewDriver(o.Socket)
	return l, err
}

// listen is socket.Listen, without a listener that is not nil when it failed.
func listen(ctx context.Context, path string) (net.Listener, error) {
	l, err := socket.Listen(ctx, path)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// listenTCP listens at host:port; nowhere for "".
func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil //nolint:nilnil // no listener was asked for
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l listeners) close() error {
	var failed error
	for _, one := range []net.Listener{l.csi, l.operators, l.remote, l.health} {
		if one != nil {
			failed = errors.Join(failed, one.Close())
		}
	}
	return failed
}

// serve answers on every listener, in the group, until the context ends.
func (a *agent) serve(ctx context.Context, group *errgroup.Group, l listeners) {
	calls := &csi.Calls{Log: a.Log, Ready: a.up.Load, Observe: a.metrics.Call}
	driver := &csi.Driver{
		Node: a.NodeID, Version: Version(), Pools: a.pools, Mounter: filesystem.Mounter{Root: a.KubeletDir},
		Intents: csi.Intents{Dir: filepath.Join(a.StateDir, "making")}, Log: a.Log, Ready: a.up.Load,
	}
	checks := health.Checks{Probe: l.driver.Probe}
	local := grpc.NewServer(grpc.ChainUnaryInterceptor(calls.Intercept))
	driver.Register(local)
	group.Go(func() error { return local.Serve(l.csi) })
	stopRemote := func() {}
	if l.remote != nil {
		remote, certificates := a.remote(calls)
		driver.RegisterController(remote)
		checks.Reachable, stopRemote = certificates.Problem, remote.GracefulStop
		group.Go(func() error { return remote.Serve(l.remote) })
	}
	if a.Kubernetes {
		checks.Registered = a.register(ctx, group, l.driver).Check
	}
	stopOperators := serveHTTP(group, l.operators, admin.Handler(operator{a.Options, a.pools, a.watcher, a.monitor, a.publisher, a.up.Load}))
	watched := http.NewServeMux()
	watched.Handle("/", health.Handler(checks))
	watched.Handle("GET "+metric.Path, a.metrics.Handler())
	stopHealth := serveHTTP(group, l.health, watched)
	group.Go(func() error {
		<-ctx.Done()
		a.Log.Info("stopping: finishing what is at work, refusing what is new")
		calls.Finish()
		local.GracefulStop()
		stopRemote()
		return errors.Join(stopOperators(), stopHealth(), l.driver.Close())
	})
	a.Log.Info("serving", "node", a.NodeID, "version", Version(), "csi", a.Socket, "operators", a.AdminSocket,
		"controllers", a.Listen, "health", a.HealthAddress)
}

// remote is the server for controllers, who prove by mTLS that they are, and the certificates that it serves with.
func (a *agent) remote(calls *csi.Calls) (*grpc.Server, *mtls.Folder) {
	certificates := mtls.NewFolder(a.TLSDir, func(problem error) {
		if problem != nil {
			a.Log.Warn("controllers cannot be served with what is there, the last good certificates stay in use", "error", problem)
			return
		}
		a.Log.Info("certificates for controllers are in use", "folder", a.TLSDir)
	})
	return grpc.NewServer(grpc.ChainUnaryInterceptor(calls.Intercept),
		grpc.Creds(mtls.ServerCredentials(certificates, mtls.ControllerName)),
		// A controller probes the connections on which it waits for an answer; gRPC's own bound is five minutes.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: probesApart})), certificates
}

// register keeps the driver registered with the kubelet, in the group.
func (a *agent) register(ctx context.Context, group *errgroup.Group, driver *health.Driver) *registration.Registrar {
	r := registration.New(registration.Options{
		KubeletDir: a.KubeletDir, Driver: csi.Name, Endpoint: a.Socket, Probe: driver.Probe, Log: a.Log,
	})
	group.Go(func() error { return r.Run(ctx) })
	return r
}

// serveHTTP serves in the group until stop; nothing for no listener.
func serveHTTP(group *errgroup.Group, l net.Listener, h http.Handler) (stop func() error) {
	if l == nil {
		return func() error { return nil }
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return server.Close
}
