package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/capacity"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// Driver is the CSI driver's name.
const Driver = csi.Name

// Options are what an agent is told when it starts.
type Options struct {
	ConfigPath  string
	NodeID      string // this node's name; it begins every volume's ID
	Socket      string // path of the unix socket for CSI
	AdminSocket string // path of the unix socket for operators
	KubeletDir  string // volumes are mounted beneath it only; "/" for anywhere; the same path as the kubelet has it
	StateDir    string // survives restarts, on another disk than the pools: backups of LVM's metadata, marks of what is being made
	Log         *slog.Logger
	LVM         string            // the lvm executable; "" for the one that is installed
	Observe     func(lvm.Command) // told of every lvm process that ended; nil for nobody

	Kubernetes    bool   // register with the kubelet whose folder KubeletDir is
	HealthAddress string // host:port at which health and metrics are told over HTTP; "" for nowhere
	Listen        string // host:port at which controllers are served CSI, by mTLS; "" for nowhere
	TLSDir        string // with tls.crt, tls.key and ca.crt for Listen; they may come and change later

	Client    kubernetes.Interface // to publish capacity, and to tell of what a person has to mend; nil: do neither
	Namespace string               // of the capacity objects
	NodeName  string               // of the Node object of this node
}

// How often the configuration file is read again, and the disks are looked at for new ones.
const (
	configInterval = time.Second
	diskInterval   = 10 * time.Second
)

// agent is what its parts share.
type agent struct {
	Options
	lvm     *lvm.LVM
	pools   *pool.Pools
	monitor *monitor.Monitor
	watcher *config.Watcher
	metrics *metrics.Metrics
	// publisher does not run in an agent that is in no cluster.
	publisher *capacity.Publisher
	up        atomic.Bool // the pools were brought up once, as far as they could be
}

// Run is the agent. It serves until the context ends, brings the pools up meanwhile, and returns when what was at work has ended.
func Run(ctx context.Context, o Options) error {
	a, err := prepare(o)
	if err != nil {
		return err
	}
	s, err := o.open(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	a.serve(ctx, group, s)
	group.Go(func() error { return a.keepUp(ctx) })
	err = group.Wait()
	a.lvm.Wait()
	return err
}

// prepare finds out whether the agent can run at all, and starts nothing.
func prepare(o Options) (*agent, error) {
	if err := volume.CheckNode(o.NodeID); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.StateDir, "backup"), 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	watcher, err := o.watch()
	if err != nil {
		return nil, err
	}
	var watch *monitor.Monitor
	var figures *metrics.Metrics
	l := lvm.New(lvm.Options{
		Binary: o.LVM, ConfigDir: filepath.Join(o.StateDir, "lvm"), BackupDir: filepath.Join(o.StateDir, "backup"),
		Observe: func(c lvm.Command) {
			o.observe(c)
			figures.Command(c)
			if c.Err != nil {
				watch.Wake() // it may have left something to mend
			}
		},
	})
	if err := l.Available(); err != nil {
		return nil, err
	}
	pools := pool.New(l, o.Log)
	pools.Configure(watcher.Config())
	watch = monitor.New(pools, o.Log, l.Watch)
	publisher := &capacity.Publisher{
		Client: o.Client, Pools: pools, Node: o.NodeID, NodeObject: o.NodeName, Namespace: o.Namespace, Log: o.Log,
	}
	figures = metrics.New(measured(pools, watch, publisher, l.Numbers), Version())
	pools.Waited, publisher.Wrote = figures.Turn, figures.Wrote
	return &agent{Options: o, lvm: l, pools: pools, monitor: watch, watcher: watcher, metrics: figures, publisher: publisher}, nil
}

// observe logs what LVM was asked to do; a command that failed is also the error of the call that ran it.
func (o Options) observe(c lvm.Command) {
	o.Log.Debug("lvm", "args", c.Args, "duration", c.Duration.Round(time.Millisecond), "exit", c.ExitCode)
	if o.Observe != nil {
		o.Observe(c)
	}
}

// keepUp brings the pools up, and then watches them, wipes what is to be wiped and follows the configuration and the disks until the
// context ends.
func (a *agent) keepUp(ctx context.Context) error {
	if a.Client != nil {
		a.pools.SetLabels(nonNil(nil)) // not known yet; until then no disk is taken by labels
	}
	a.pools.BringUp(ctx, a.watcher.Config())
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop
	}
	a.up.Store(true)
	var group errgroup.Group
	a.followCluster(ctx, &group)
	group.Go(func() error { a.pools.Wipe(ctx); return nil })
	group.Go(func() error { return a.monitor.Run(ctx) })
	group.Go(func() error { a.follow(ctx); return nil })
	return group.Wait()
}

// follow brings the pools up again when the configuration or the disks change.
func (a *agent) follow(ctx context.Context) {
	changed := make(chan config.Config)
	var group errgroup.Group
	group.Go(func() error {
		a.watcher.Run(ctx, configInterval, func(c config.Config, problem error) {
			if problem != nil {
				a.Log.ErrorContext(ctx, "the configuration is not used, the last good one stays", "error", problem)
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
			a.Log.InfoContext(ctx, "new configuration", "pools", len(c.Pools))
			if err := a.keep(a.watcher.Text()); err != nil {
				a.Log.ErrorContext(ctx, "the configuration is in use, but is not kept for the next start", "error", err)
			}
			a.pools.BringUp(ctx, c)
		case <-tick.C:
			a.pools.LookAgain(ctx)
		}
	}
	_ = group.Wait() // never an error
}
