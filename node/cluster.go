package node

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/loam-storage/loam/node/config"
)

// labelInterval is how often the node's labels are asked for. troubleInterval is how often the agent looks whether there is something to tell the cluster of; troubleReminder is how
// often it says the same again, as events are kept for an hour (kube-apiserver --event-ttl).
const (
	labelInterval   = 30 * time.Second
	troubleInterval = 5 * time.Second
	troubleReminder = 30 * time.Minute
)

// followCluster does, in the group, what the agent does for the cluster that its node is in.
func (a *agent) followCluster(ctx context.Context, group *errgroup.Group) {
	if a.Client == nil {
		return
	}
	group.Go(func() error { return a.publisher.Run(ctx) })
	group.Go(func() error { a.tellTroubles(ctx); return nil })
	group.Go(func() error { a.followLabels(ctx); return nil })
}

// followLabels keeps the pools told of the node's labels while some of them choose nodes by labels, until the context ends.
// Of a question every half a minute, which the API server answers from memory, 5,000 nodes need fewer resources than of a
// watch each.
func (a *agent) followLabels(ctx context.Context) {
	tick := time.NewTicker(labelInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		if slices.ContainsFunc(a.pools.All(), func(p config.Pool) bool { return len(p.Nodes) > 0 }) {
			node, err := a.Client.CoreV1().Nodes().Get(ctx, a.NodeName, metav1.GetOptions{ResourceVersion: "0"})
			switch {
			case err == nil:
				a.pools.SetLabels(nonNil(node.Labels))
			case ctx.Err() == nil:
				a.Log.WarnContext(ctx, "this node's labels are not known; disks for pools that choose nodes by them wait", "error", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// nonNil is the labels of a node in Kubernetes, also where it has none.
func nonNil(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// tellTroubles keeps saying, in events on the node, what a person has to mend, until the context ends.
func (a *agent) tellTroubles(ctx context.Context) {
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.Client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "loam-agent", Host: a.NodeName})
	// As the kubelet's events, so that `kubectl describe node` shows them: by the name instead of the UID.
	node := &corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: a.NodeName, UID: types.UID(a.NodeName)}

	tick := time.NewTicker(troubleInterval)
	defer tick.Stop()
	told := map[trouble]time.Time{}
	for ctx.Err() == nil {
		var tell []trouble
		tell, told = toTell(a.troubles(), told, time.Now())
		for _, t := range tell {
			recorder.Event(node, corev1.EventTypeWarning, t.reason, t.message)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// trouble is something that a person has to mend.
type trouble struct{ reason, message string }

// troubles are those of now.
func (a *agent) troubles() []trouble {
	var all []trouble
	if problem := a.watcher.Problem(); problem != nil {
		all = append(all, trouble{"LoamConfigurationNotUsed", "the configuration is not used, the last good one stays: " + problem.Error()})
	}
	if a.publisher.Problem() != nil { // whose words are new each time
		all = append(all, trouble{"LoamCapacityNotPublished", "kube-scheduler places pods by old figures of this node's room; the agent's log says what is in the way of new ones"})
	}
	for _, p := range a.pools.All() {
		if problem := a.pools.Problem(p.Name); problem != "" && !a.pools.IsElsewhere(p.Name) {
			all = append(all, trouble{"LoamPoolNotReady", "pool " + p.Name + ": " + problem})
		}
	}
	for _, c := range a.monitor.Conditions() {
		all = append(all, trouble{"Loam" + string(c.Kind), "pool " + c.Pool + ": " + c.Message})
	}
	for _, p := range a.pools.All() {
		last, _ := a.pools.Healings(p.VolumeGroup)
		for _, h := range last {
			if time.Since(h.At) < troubleReminder {
				all = append(all, trouble{"LoamHealed", "pool " + p.Name + ": " + h.Volume + ": " + h.What})
			}
		}
	}
	return all
}

// toTell are those to tell of now, and when each of those that there are was told last.
func toTell(now []trouble, told map[trouble]time.Time, t time.Time) (tell []trouble, next map[trouble]time.Time) {
	next = map[trouble]time.Time{}
	for _, one := range now {
		last, known := told[one]
		if !known || t.Sub(last) >= troubleReminder {
			tell, last = append(tell, one), t
		}
		next[one] = last
	}
	return tell, next
}
