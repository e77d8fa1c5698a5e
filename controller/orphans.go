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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/node/volume"
)

const (
	orphanInterval = time.Hour
	// orphanAge is how long a volume has been without a PersistentVolume before that is told: one comes after its volume is
	// made, and one that is deleted may go before it.
	orphanAge = 50 * time.Minute // seen at two looks
	// orphanPage is how many PersistentVolumes are asked for at a time.
	orphanPage = 500
	// orphansNamed is how many volumes one event names.
	orphansNamed = 5
)

// orphans tells of volumes that no PersistentVolume names, in events on their nodes: their claims are gone, and nobody will ever
// ask for their deletion. It removes none: what looks forgotten may be the last copy of something.
type orphans struct {
	client  kubernetes.Interface
	log     *slog.Logger
	volumes func(context.Context) []string // the IDs of all that there are
	since   map[string]time.Time           // when a volume without a PersistentVolume was first seen so, by ID
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
			o.log.WarnContext(ctx, "cannot look for volumes without a PersistentVolume", "error", err)
		}
	}
}

// look reads volumes first, so that a PersistentVolume that comes meanwhile is seen.
func (o *orphans) look(ctx context.Context, now time.Time) error {
	volumes := o.volumes(ctx)
	handles, err := o.handles(ctx)
	if err != nil {
		return err
	}
	o.since = unnamed(volumes, handles, o.since, now)
	for node, ids := range overdue(o.since, now) {
		if err := o.tell(ctx, node, ids, now); err != nil {
			return err
		}
	}
	return nil
}

// provisionedVolumes are the IDs of those that external-provisioner had made, of all agents that answer: one that is away has its
// turn later.
func (r *Router) provisionedVolumes(ctx context.Context) (ids []string) {
	for _, node := range r.agents.nodes() {
		for token := ""; ; {
			answer, err := ask(ctx, r, node, csi.ControllerClient.ListVolumes, &csi.ListVolumesRequest{MaxEntries: maxPage, StartingToken: token})
			if err != nil {
				break
			}
			for _, e := range answer.GetEntries() {
				if id, err := volume.ParseID(e.GetVolume().GetVolumeId()); err == nil && volume.Provisioned(id.LV) {
					ids = append(ids, id.String())
				}
			}
			if token = answer.GetNextToken(); token == "" {
				break
			}
		}
	}
	return ids
}

// handles are the volumes that PersistentVolumes name.
func (o *orphans) handles(ctx context.Context) (map[string]bool, error) {
	all := map[string]bool{}
	for next := ""; ; {
		page, err := o.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{Limit: orphanPage, Continue: next})
		if err != nil {
			return nil, err
		}
		for _, pv := range page.Items {
			if pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driverName {
				all[pv.Spec.CSI.VolumeHandle] = true
			}
		}
		if next = page.Continue; next == "" {
			return all, nil
		}
	}
}

// unnamed are the volumes that nobody names, and since when.
func unnamed(volumes []string, handles map[string]bool, before map[string]time.Time, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for _, id := range volumes {
		if handles[id] {
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
	sum := sha256.Sum256([]byte(now.Format(time.DateOnly) + node + strings.Join(ids, " ")))
	at := metav1.NewTime(now)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "loam-" + hex.EncodeToString(sum[:16]), Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node, UID: types.UID(node)},
		Type:           corev1.EventTypeWarning, Reason: "OrphanedVolumes", Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Message: fmt.Sprintf("no PersistentVolume names %s%s: nobody will ask for their deletion. `loam volume list` on the node says whose they were; "+
			"`loam volume delete` gives their space back", strings.Join(named, ", "), others),
		Source: corev1.EventSource{Component: "loam-controller"},
	}
	_, err := o.client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
