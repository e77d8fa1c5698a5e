package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/node/volume"
)

const (
	orphanInterval = time.Hour
	// orphanAge is how long a volume has been without a PersistentVolume, or a snapshot without its content, before that is told: one
	// comes after its volume is made, and one that is deleted may go before it.
	orphanAge = 50 * time.Minute // seen at two looks
	// orphanPage is how many objects of Kubernetes are asked for at a time.
	orphanPage = 500
	// orphansNamed is how many volumes one event names.
	orphansNamed = 5
)

// orphans tells of volumes, or of snapshots, that no object of Kubernetes names, in events on their nodes: nobody will ever ask for
// their deletion. It removes none: what looks forgotten may be the last copy of something.
type orphans struct {
	client kubernetes.Interface
	log    *slog.Logger
	lost
	since   map[string]time.Time // when one was first seen that nothing names, by ID
	observe func(kind string, n int, at time.Time)
}

// lost is one kind of orphans.
type lost struct {
	what   string // they are, for metrics
	reason string // of the event
	kind   string // of the objects that name them
	advice string
	ids    func(context.Context) []string                 // of all that there are
	named  func(context.Context) (map[string]bool, error) // IDs that objects name
}

func lostVolumes(r *Router, client kubernetes.Interface) lost {
	return lost{
		what: "volume", reason: "OrphanedVolumes", kind: "PersistentVolume",
		advice: "`loam volume list` on the node says whose they were; `loam volume delete` gives their space back",
		ids:    r.provisionedVolumes,
		named:  func(ctx context.Context) (map[string]bool, error) { return handles(ctx, client) },
	}
}

func lostSnapshots(r *Router, client dynamic.Interface) lost {
	return lost{
		what: "snapshot", reason: "OrphanedSnapshots", kind: "VolumeSnapshotContent",
		advice: "`loam volume list --snapshots` on the node shows them; `loam volume delete` gives their space back",
		ids:    r.provisionedSnapshots,
		named:  func(ctx context.Context) (map[string]bool, error) { return snapshotHandles(ctx, client) },
	}
}

// run looks until the context ends.
func (o *orphans) run(ctx context.Context) {
	tick := time.NewTicker(orphanInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := o.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			o.log.WarnContext(ctx, "cannot look for what no "+o.kind+" names", "error", err)
		}
	}
}

// look reads what there is first, so that an object that comes meanwhile is seen.
func (o *orphans) look(ctx context.Context, now time.Time) error {
	ids := o.ids(ctx)
	if len(ids) == 0 {
		o.since = nil
		o.observe(o.what, 0, now)
		return nil
	}
	named, err := o.named(ctx)
	if err != nil {
		return err
	}
	o.since = unnamed(ids, named, o.since, now)
	late, n := overdue(o.since, now), 0
	for _, ids := range late {
		n += len(ids)
	}
	o.observe(o.what, n, now)
	for node, ids := range late {
		if err := o.tell(ctx, node, ids, now); err != nil {
			return err
		}
	}
	return nil
}

// provisionedVolumes are the IDs of those that external-provisioner had made, of all agents that answer: one that is away has its
// turn later.
func (r *Router) provisionedVolumes(ctx context.Context) []string {
	return r.idsOf(func(node, token string) (ids []string, next string, err error) {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ListVolumes, &csi.ListVolumesRequest{MaxEntries: maxPage, StartingToken: token})
		for _, e := range answer.GetEntries() {
			ids = append(ids, e.GetVolume().GetVolumeId())
		}
		return ids, answer.GetNextToken(), err
	})
}

// provisionedSnapshots are the same of those that external-snapshotter had made.
func (r *Router) provisionedSnapshots(ctx context.Context) []string {
	return r.idsOf(func(node, token string) (ids []string, next string, err error) {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ListSnapshots, &csi.ListSnapshotsRequest{MaxEntries: maxPage, StartingToken: token})
		for _, e := range answer.GetEntries() {
			ids = append(ids, e.GetSnapshot().GetSnapshotId())
		}
		return ids, answer.GetNextToken(), err
	})
}

// idsOf are those that were made for an object of Kubernetes, of all pages of all nodes.
func (r *Router) idsOf(page func(node, token string) (ids []string, next string, err error)) (all []string) {
	for _, node := range r.agents.nodes() {
		for token := ""; ; {
			ids, next, err := page(node, token)
			if err != nil {
				break
			}
			for _, s := range ids {
				if id, err := volume.ParseID(s); err == nil && volume.Provisioned(id.LV) {
					all = append(all, s)
				}
			}
			if token = next; token == "" {
				break
			}
		}
	}
	return all
}

// handles are the volumes that PersistentVolumes name.
func handles(ctx context.Context, client kubernetes.Interface) (map[string]bool, error) {
	all := map[string]bool{}
	err := eachOfOurs(ctx, client, func(pv *corev1.PersistentVolume) { all[pv.Spec.CSI.VolumeHandle] = true })
	return all, err
}

// eachOfOurs reads all PersistentVolumes, and shows those of this driver.
func eachOfOurs(ctx context.Context, client kubernetes.Interface, show func(*corev1.PersistentVolume)) error {
	for next := ""; ; {
		page, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{Limit: orphanPage, Continue: next})
		if err != nil {
			return err
		}
		for i, pv := range page.Items {
			if pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driverName {
				show(&page.Items[i])
			}
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

var snapshotContents = schema.GroupVersionResource{Group: "snapshot.storage.k8s.io", Version: "v1", Resource: "volumesnapshotcontents"}

// snapshotHandles are the snapshots that VolumeSnapshotContents name, in their status when they were made for one and in their
// source when they were there before.
func snapshotHandles(ctx context.Context, client dynamic.Interface) (map[string]bool, error) {
	all := map[string]bool{}
	for next := ""; ; {
		page, err := client.Resource(snapshotContents).List(ctx, metav1.ListOptions{Limit: orphanPage, Continue: next})
		if err != nil {
			return nil, err
		}
		for _, content := range page.Items {
			for _, field := range [][]string{{"status", "snapshotHandle"}, {"spec", "source", "snapshotHandle"}} {
				if handle, ok, err := unstructured.NestedString(content.Object, field...); ok && err == nil {
					all[handle] = true
				}
			}
		}
		if next = page.GetContinue(); next == "" {
			return all, nil
		}
	}
}

// unnamed are those that nothing names, and since when.
func unnamed(ids []string, named map[string]bool, before map[string]time.Time, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for _, id := range ids {
		if named[id] {
			continue
		}
		since[id] = now
		if at, known := before[id]; known {
			since[id] = at
		}
	}
	return since
}

// overdue are those to be told of, by node and in order.
func overdue(since map[string]time.Time, now time.Time) map[string][]string {
	all := map[string][]string{}
	for _, s := range slices.Sorted(maps.Keys(since)) {
		if id, err := volume.ParseID(s); err == nil && now.Sub(since[s]) >= orphanAge {
			all[id.Node] = append(all[id.Node], s)
		}
	}
	return all
}

// tell makes one event, whoever tells: its name is made of what it says, and of the day.
func (o *orphans) tell(ctx context.Context, node string, ids []string, now time.Time) error {
	named, others := ids, ""
	if len(ids) > orphansNamed {
		named, others = ids[:orphansNamed], fmt.Sprintf(" and %d more", len(ids)-orphansNamed)
	}
	sum := sha256.Sum256([]byte(o.reason + now.Format(time.DateOnly) + node + strings.Join(ids, " ")))
	at := metav1.NewTime(now)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "loam-" + hex.EncodeToString(sum[:16]), Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(node)},
		Type:           corev1.EventTypeWarning, Reason: o.reason, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Message: fmt.Sprintf("no %s names %s%s: nobody will ask for their deletion. %s", o.kind, strings.Join(named, ", "), others, o.advice),
		Source:  corev1.EventSource{Component: "loam-controller"},
	}
	_, err := o.client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
