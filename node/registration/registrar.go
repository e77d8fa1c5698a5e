package registration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/loam-storage/loam/node/socket"
)

// Folder is where a kubelet looks for sockets, below its own (pkg/kubelet/kubeletconfig, DefaultKubeletPluginsRegistrationDirName).
const Folder = "plugins_registry"

// Options are what a kubelet is to be told, and of what.
type Options struct {
	KubeletDir string // the kubelet's own folder, by the same path as the kubelet has it
	Driver     string // the CSI driver's name
	Endpoint   string // path of the driver's socket, as the kubelet has it
	// Probe fails as long as the driver is not to be used; the kubelet is told nothing before.
	Probe func(context.Context) error
	Log   *slog.Logger
}

// Registrar registers a driver. It may be used concurrently; New makes it.
type Registrar struct {
	options Options
	path    string // of the socket
	pace    pace
	talk    conversation
}

// pace is how often the registrar looks, and how patient it is.
type pace struct {
	look  time.Duration // between looks at the socket file
	first time.Duration // until a socket that did not lead to registration is made anew the first time; doubled each time
	most  time.Duration // of that
}

// The first wait is longer than the kubelet takes to dial (10 s); the last is the longest between two of the kubelet's own
// attempts (pkg/util/goroutinemap/exponentialbackoff).
var kubeletsPace = pace{look: 2 * time.Second, first: 15 * time.Second, most: 2 * time.Minute}

// New makes a registrar that does nothing until Run.
func New(o Options) *Registrar {
	return &Registrar{
		options: o, pace: kubeletsPace,
		path: filepath.Join(o.KubeletDir, Folder, o.Driver+"-reg.sock"),
		talk: conversation{log: o.Log, now: time.Now},
	}
}

// Check says why the kubelet has not taken the driver since Run began; nil once it has.
func (r *Registrar) Check() error { return r.talk.check() }

// Run keeps the driver registered until the context ends, and leaves the socket file where it is.
func (r *Registrar) Run(ctx context.Context) error {
	server := grpc.NewServer()
	registerapi.RegisterRegistrationServer(server, service{options: r.options, conversation: &r.talk})
	var group errgroup.Group
	var current place
	tick := time.NewTicker(r.pace.look)
	defer tick.Stop()
	for ctx.Err() == nil {
		if r.talk.state().due(current.gone(r.path), time.Now(), r.pace) {
			current = r.renew(ctx, current, func(l net.Listener) {
				group.Go(func() error { return serve(server, l) })
			})
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	server.Stop()
	return group.Wait()
}

// serve serves one socket file's listener until it, or the server, is closed. The server outlives it, and with it a
// conversation that the kubelet has begun.
func serve(server *grpc.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// place is a socket file that was put in place; its zero value is none.
type place struct {
	listener net.Listener
	file     os.FileInfo
}

// gone says whether the file at that path is not the one any more that was put there.
func (p place) gone(path string) bool {
	if p.listener == nil {
		return false
	}
	info, err := os.Lstat(path)
	return err != nil || !os.SameFile(info, p.file)
}

// renew puts a new socket in place of the current one, once the driver can be used.
func (r *Registrar) renew(ctx context.Context, current place, serve func(net.Listener)) place {
	if err := r.options.Probe(ctx); err != nil {
		r.options.Log.DebugContext(ctx, "not registering yet", "error", err)
		return current
	}
	if current.gone(r.path) {
		r.options.Log.WarnContext(ctx, "the socket for the kubelet was taken away", "socket", r.path)
	}
	if current.listener != nil {
		_ = current.listener.Close() // its file stays, and errors say only that it was closed before
	}
	r.talk.begin()
	next, err := r.put(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.options.Log.ErrorContext(ctx, "cannot register with the kubelet", "error", err)
			r.talk.fail(err.Error())
		}
		return place{}
	}
	r.options.Log.InfoContext(ctx, "registering with the kubelet", "socket", r.path, "endpoint", r.options.Endpoint)
	serve(next.listener)
	return next
}

func (r *Registrar) put(ctx context.Context) (place, error) {
	l, err := socket.Listen(ctx, r.path)
	if err != nil {
		return place{}, err
	}
	l.SetUnlinkOnClose(false) // the kubelet would deregister the driver
	info, err := os.Lstat(r.path)
	if err != nil {
		return place{}, errors.Join(fmt.Errorf("socket: %w", err), l.Close())
	}
	return place{l, info}, nil
}
