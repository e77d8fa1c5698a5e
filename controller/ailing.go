package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/loam-storage/loam/node/volume"
)

const (
	ailingInterval = time.Minute
	// ailingAtOnce bounds how many volumes are told of at a look, as each takes some requests: a pool with hundreds that fails is
	// told of in minutes, and of the pool its node's events tell at once.
	ailingAtOnce = 50
)

// ailing tells whoever owns a volume, in events on its claim and on the pods that use it, when something is wrong with it, and when
// that is over. Agents tell of their pools in events on their nodes, which those who own claims mostly may not see
// (docs/decisions/0040-events-on-claims-and-pods.md).
type ailing struct {
	client  kubernetes.Interface
	log     *slog.Logger
	healths func(context.Context) map[string][]*csi.VolumeHealth // by node, of the agents that answer
	observe func(volumes int)
	told    map[ailment]time.Time

	byHandle map[string]*corev1.ObjectReference // the claims of all volumes, of one look; nil: not read
}

// run looks until the context ends.
func (a *ailing) run(ctx context.Context) {
	tick := time.NewTicker(ailingInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		a.look(ctx, time.Now())
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look forgets what could not be told, so that it is told at the next look.
func (a *ailing) look(ctx context.Context, now time.Time) {
	a.byHandle = nil
	healths := a.healths(ctx)
	sick, volumes := ailmentsOf(healths)
	a.observe(volumes)
	all, told := newsOf(sick, func(node string) bool { _, answered := healths[node]; return answered }, a.told, now)
	a.told = told
	for i, n := range all {
		err := fmt.Errorf("%d volumes are told of at a look", ailingAtOnce)
		if i < ailingAtOnce {
			err = a.tell(ctx, n, now)
		}
		if err == nil {
			continue
		}
		if ctx.Err() == nil && i < ailingAtOnce {
			a.log.WarnContext(ctx, "an event on a claim could not be written", "volume", n.volume.String(), "reason", n.reason, "error", err)
		}
		if n.over {
			a.told[n.ailment] = now
		} else {
			delete(a.told, n.ailment)
		}
	}
}

// healths asks all agents for the volumes with which something is wrong. One that does not answer is left out.
func (r *Router) healths(ctx context.Context) map[string][]*csi.VolumeHealth {
	var mu sync.Mutex // guards all
	all := map[string][]*csi.VolumeHealth{}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, node := range r.agents.nodes() {
		group.Go(func() error {
			if found, err := r.healthsOn(ctx, node); err == nil {
				mu.Lock()
				defer mu.Unlock()
				all[node] = found
			}
			return nil
		})
	}
	_ = group.Wait() // never an error
	return all
}

func (r *Router) healthsOn(ctx context.Context, node string) (all []*csi.VolumeHealth, err error) {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	for token := ""; ; {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ControllerListVolumeHealth,
			&csi.ControllerListVolumeHealthRequest{MaxEntries: maxPage, StartingToken: token})
		if err != nil {
			return nil, err
		}
		all = append(all, answer.GetEntries()...)
		if token = answer.GetNextToken(); token == "" {
			return all, nil
		}
	}
}

// tell makes an event on the volume's claim, and on each pod that uses it. A volume that no claim has is nobody's to be told.
func (a *ailing) tell(ctx context.Context, n news, now time.Time) error {
	claim, err := a.claimOf(ctx, n.volume)
	if err != nil || claim == nil {
		return err
	}
	pods, err := a.client.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"}) // from the API server's memory
	if err != nil {
		return err
	}
	about := []corev1.ObjectReference{*claim}
	for _, pod := range pods.Items {
		if uses(&pod, claim.Name) {
			about = append(about, corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
		}
	}
	for _, object := range about {
		if err := a.put(ctx, n.notice(object).event("loam-controller", now)); err != nil {
			return err
		}
	}
	return nil
}

// claimOf is the claim whose PersistentVolume is the volume; nil for none. external-provisioner names a PersistentVolume as it has the
// volume named; for one that a person made, all are read, once at a look.
func (a *ailing) claimOf(ctx context.Context, id volume.ID) (*corev1.ObjectReference, error) {
	pv, err := a.client.CoreV1().PersistentVolumes().Get(ctx, id.LV, metav1.GetOptions{ResourceVersion: "0"})
	if err == nil && pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driverName && pv.Spec.CSI.VolumeHandle == id.String() {
		return claimRef(pv), nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if a.byHandle == nil {
		all := map[string]*corev1.ObjectReference{}
		if err := eachOfOurs(ctx, a.client, func(pv *corev1.PersistentVolume) { all[pv.Spec.CSI.VolumeHandle] = claimRef(pv) }); err != nil {
			return nil, err
		}
		a.byHandle = all
	}
	return a.byHandle[id.String()], nil
}

// claimRef is the claim that has a PersistentVolume; nil for none.
func claimRef(pv *corev1.PersistentVolume) *corev1.ObjectReference {
	ref := pv.Spec.ClaimRef
	if ref == nil || pv.Status.Phase != corev1.VolumeBound {
		return nil
	}
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}
}

// put makes an event, or brings the one that there is up to date: another controller's, or one that was told before.
func (a *ailing) put(ctx context.Context, e *corev1.Event) error {
	events := a.client.CoreV1().Events(e.Namespace)
	_, err := events.Create(ctx, e, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = events.Patch(ctx, e.Name, patchType, again(e), metav1.PatchOptions{})
	}
	if apierrors.IsNotFound(err) { // it, or the namespace, has just gone
		return nil
	}
	return err
}
