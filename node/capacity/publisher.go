package capacity

import (
	"context"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/node/pool"
)

// DefaultHold is how long an increase waits.
const DefaultHold = 5 * time.Second

const (
	// gather is how long a change waits for others, so that a burst of volumes costs one look at LVM and one write.
	gather = 100 * time.Millisecond
	// refresh is how often LVM is asked though nobody told of a change: a thin pool fills up without any operation.
	refresh = time.Minute
	// roundTime bounds what one round may take at the API server.
	roundTime = 15 * time.Second
)

// Publisher keeps the CSIStorageCapacity objects of one node. Its fields are set before Run.
type Publisher struct {
	Client     kubernetes.Interface
	Pools      *pool.Pools   // the Publisher is their only receiver of Changed
	Node       string        // the node's name in topologies and volume IDs, csi.Driver's Node
	NodeObject string        // the name of its Node object, which will own what is published; "": as Node
	Namespace  string        // where the objects are
	Hold       time.Duration // how long an increase waits; 0: DefaultHold
	Log        *slog.Logger
	Wrote      func(error) // told how each write of an object ended; nil for nobody
	standing
}

// Run publishes until the context ends, which is no error; what fails meanwhile is logged and tried again. The objects stay
// when it returns: an agent that restarts finds them, and the node's going removes them. Run needs to get its Node; to list
// and watch StorageClasses; and to get, list, watch, create, update and delete CSIStorageCapacities in its namespace.
func (p *Publisher) Run(ctx context.Context) error {
	i := identity{node: p.Node, nodeObject: p.NodeObject, namespace: p.Namespace}
	if i.nodeObject == "" {
		i.nodeObject = i.node
	}
	p.begin()
	w, err := newWatch(p.Client, i, p.Log, p.ended)
	if err != nil {
		return err
	}
	f := follower{Publisher: p, watch: w, identity: i, hold: p.Hold}
	if f.hold == 0 {
		f.hold = DefaultHold
	}
	w.run(ctx, f.follow)
	return nil
}

// follower is a Publisher at work, in one goroutine.
type follower struct {
	*Publisher
	*watch
	identity
	hold time.Duration

	rooms   map[string]pool.Room
	asked   time.Time            // when the rooms were asked for
	stale   bool                 // they are to be asked for again
	raising map[string]time.Time // as in world
	wake    time.Time            // as in steps
}

// follow makes one round after another: when something changed, when an increase is due, and after a pause that grows
// when the last one failed.
func (f *follower) follow(ctx context.Context) {
	again := backoff()
	for ctx.Err() == nil {
		err := f.round(ctx)
		if ctx.Err() != nil {
			return
		}
		f.ended(err)
		if err != nil {
			f.Log.WarnContext(ctx, "capacity not published, trying again", "error", err)
			pause(ctx, again.Step())
			continue
		}
		again = backoff()
		f.idle(ctx)
	}
}

// backoff is from 0.2 s up to 30 s, each up to half longer by chance, so that the agents of a large cluster do not all
// come at once when its API server is back.
func backoff() wait.Backoff {
	return wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 20, Cap: 30 * time.Second}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// idle waits for the next thing to do.
func (f *follower) idle(ctx context.Context) {
	until := f.asked.Add(refresh)
	if !f.wake.IsZero() && f.wake.Before(until) {
		until = f.wake
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-f.Pools.Changed():
		f.stale = true
	case <-f.changed:
	}
	pause(ctx, gather)
}

// round is read → decide → act.
func (f *follower) round(ctx context.Context) error {
	if err := f.read(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	if err := f.readOwner(ctx); err != nil {
		return err
	}
	classes, objects, err := f.known()
	if err != nil {
		return err
	}
	s := plan(world{
		identity: f.identity, classes: classes, rooms: f.rooms, existing: objects,
		raising: f.raising, hold: f.hold, now: time.Now(),
	})
	f.raising, f.wake = s.raising, s.wake
	return f.carryOut(ctx, s)
}

// read asks the pools if that is due. What is told from here on is for the next round.
func (f *follower) read(ctx context.Context) error {
	told(f.changed)
	if told(f.Pools.Changed()) || time.Since(f.asked) >= refresh {
		f.stale = true
	}
	if !f.stale {
		return nil
	}
	rooms, err := f.Pools.Rooms(ctx)
	if err != nil {
		return err
	}
	f.rooms, f.stale, f.asked = rooms, false, time.Now()
	return nil
}

// readOwner reads the UID of the Node once, and again after an object vanished: the node may have been removed from the
// cluster and be back as another, and what the old one owns is removed for as long as it is written.
func (f *follower) readOwner(ctx context.Context) error {
	if told(f.vanished) {
		f.uid = ""
	}
	if f.uid != "" {
		return nil
	}
	node, err := f.Client.CoreV1().Nodes().Get(ctx, f.nodeObject, metav1.GetOptions{})
	if err != nil {
		return err
	}
	f.uid = node.UID
	return nil
}
