package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// Options are what an agent is told when it starts.
type Options struct {
	ConfigPath  string
	NodeID      string // this node's name; it begins every volume's ID
	Socket      string // path of the unix socket for CSI
	AdminSocket string // path of the unix socket for operators
	KubeletDir  string // volumes are mounted beneath it only; "/" for anywhere
	StateDir    string // survives restarts, on another disk than the pools: backups of LVM's metadata, marks of what is being made
	Log         *slog.Logger
	Observe     func(lvm.Command) // told of every lvm process that ended; nil for nobody
}

// How often the configuration file is read again, and the disks are looked at for new ones.
const (
	configInterval = time.Second
	diskInterval   = 10 * time.Second
)

// Run is the agent. It brings the pools up, serves until the context ends, and returns when what was at work has ended.
func Run(ctx context.Context, o Options) error {
	if err := volume.CheckNode(o.NodeID); err != nil {
		return err
	}
	watcher, err := config.NewWatcher(o.ConfigPath)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(o.StateDir, "backup"), 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	l := lvm.New(lvm.Options{
		ConfigDir: filepath.Join(o.StateDir, "lvm"), BackupDir: filepath.Join(o.StateDir, "backup"), Observe: o.observe,
	})
	if err := l.Available(); err != nil {
		return err
	}
	pools := pool.New(l, o.Log)
	pools.BringUp(ctx, watcher.Config())

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { pools.Wipe(ctx); return nil })
	group.Go(func() error { keepUp(ctx, watcher, pools, o.Log); return nil })
	if err := o.serve(ctx, group, pools, watcher); err != nil {
		return err
	}
	err = group.Wait()
	l.Wait()
	return err
}

// observe logs what LVM was asked to do; a command that failed is also the error of the call that ran it.
func (o Options) observe(c lvm.Command) {
	o.Log.Debug("lvm", "args", c.Args, "duration", c.Duration.Round(time.Millisecond), "exit", c.ExitCode)
	if o.Observe != nil {
		o.Observe(c)
	}
}

// keepUp follows the configuration and the disks until the context ends.
func keepUp(ctx context.Context, w *config.Watcher, pools *pool.Pools, log *slog.Logger) {
	changed := make(chan config.Config)
	var group errgroup.Group
	group.Go(func() error {
		w.Run(ctx, configInterval, func(c config.Config, problem error) {
			if problem != nil {
				log.ErrorContext(ctx, "the configuration is not used, the last good one stays", "error", problem)
				return
			}
			select {
			case changed <- c:
			case <-ctx.Done():
			}
		})
		return nil
	})
	tick := time.NewTicker(diskInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case c := <-changed:
			log.InfoContext(ctx, "new configuration", "pools", len(c.Pools))
			pools.BringUp(ctx, c)
		case <-tick.C:
			pools.LookAgain(ctx)
		}
	}
	_ = group.Wait() // never an error
}

// serve listens on both sockets and serves them in the group until the context ends.
func (o Options) serve(ctx context.Context, group *errgroup.Group, pools *pool.Pools, watcher *config.Watcher) error {
	forCSI, err := listen(ctx, o.Socket)
	if err != nil {
		return err
	}
	forOperators, err := listen(ctx, o.AdminSocket)
	if err != nil {
		return errors.Join(err, forCSI.Close())
	}
	calls := &csi.Calls{Log: o.Log}
	driver := &csi.Driver{
		Node: o.NodeID, Version: Version(), Pools: pools, Mounter: filesystem.Mounter{Root: o.KubeletDir},
		Intents: csi.Intents{Dir: filepath.Join(o.StateDir, "making")}, Log: o.Log,
	}
	grpcServer := grpc.NewServer(grpc.ChainUnaryInterceptor(calls.Intercept))
	driver.Register(grpcServer)
	httpServer := &http.Server{Handler: admin.Handler(operator{o, pools, watcher}), ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error { return grpcServer.Serve(forCSI) })
	group.Go(func() error {
		if err := httpServer.Serve(forOperators); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		o.Log.Info("stopping: finishing what is at work, refusing what is new")
		calls.Finish()
		grpcServer.GracefulStop()
		return httpServer.Close()
	})
	o.Log.Info("serving", "node", o.NodeID, "version", Version(), "csi", o.Socket, "operators", o.AdminSocket)
	return nil
}

// listen makes a unix socket that only root may use, in place of one that a killed agent left behind.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s exists and is not a socket", path)
		}
		if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("%s: another agent is serving there", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
	}
	mask := syscall.Umask(0o177) // before there is a moment in which others could connect
	defer syscall.Umask(mask)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return l, nil
}
