package capacity

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/published"
)

// world is what a plan is made from.
type world struct {
	identity
	classes  []*storagev1.StorageClass // all that there are; others' among them
	rooms    map[string]pool.Room      // of this node's pools, by name
	existing []*storagev1.CSIStorageCapacity
	raising  map[string]time.Time // since when an object could say more than it does, by its name
	hold     time.Duration
	now      time.Time
}

// steps are what is to be written, none of it twice, and what to know for the next plan.
type steps struct {
	create, update, remove []*storagev1.CSIStorageCapacity

	raising map[string]time.Time
	wake    time.Time // when what is held back becomes due; zero: nothing is
}

// plan decides what to write. A class that this node cannot serve gets no object, and one that there is goes; but the
// object of a pool that is configured here and not there (its disks are missing) stays and says that nothing is left.
func plan(w world) steps {
	s := steps{raising: map[string]time.Time{}}
	existing := map[string]*storagev1.CSIStorageCapacity{}
	for _, o := range w.existing {
		existing[o.Name] = o
	}
	for _, c := range w.classes {
		o, exists := existing[w.name(c.Name)]
		target, serves := w.offer(c)
		if !serves {
			continue
		}
		delete(existing, w.name(c.Name))
		switch {
		case !exists && target.size > 0:
			s.create = append(s.create, w.object(c.Name, target))
		case !exists || o.DeletionTimestamp != nil: // its end will be told
		case !w.fixed(o, c.Name):
			s.remove = append(s.remove, o)
		default:
			s.correct(w, o, target)
		}
	}
	for _, o := range w.existing {
		if _, left := existing[o.Name]; left && w.owns(o) && o.DeletionTimestamp == nil {
			s.remove = append(s.remove, o)
		}
	}
	return s
}

// correct updates an object if it does not say what it should by now.
func (s *steps) correct(w world, o *storagev1.CSIStorageCapacity, target offer) {
	say := target
	if before, ok := said(o); ok {
		var since, due time.Time
		say.figures, since, due = next(before, target.figures, w.raising[o.Name], w.now, w.hold)
		if say.figures == before {
			say.pools = target.detail(o)
		}
		if !since.IsZero() {
			s.raising[o.Name] = since
		}
		if !due.IsZero() && (s.wake.IsZero() || due.Before(s.wake)) {
			s.wake = due
		}
	}
	if n := w.corrected(o, say); !equality.Semantic.DeepEqual(o, n) {
		s.update = append(s.update, n)
	}
}

// offer is what this node has for a class.
type offer struct {
	figures
	pools   published.Pools
	volumes map[string][]pool.Held // by the pool
	size    lvm.Bytes              // of its pools
}

// offer says what that is; serves is false if that is nothing and never will be. A class without a pool gets volumes from
// all pools, as CreateVolume has it.
func (w world) offer(c *storagev1.StorageClass) (o offer, serves bool) {
	if c.Provisioner != provisioner || c.DeletionTimestamp != nil || !admits(c.AllowedTopologies, w.node) {
		return offer{}, false
	}
	wanted := c.Parameters[parameterPool]
	o.pools, o.volumes = published.Pools{}, map[string][]pool.Held{}
	for name, room := range w.rooms {
		if wanted == "" || wanted == name {
			o.figures, o.size = o.add(roundedDown(room)), o.size+room.Size
			o.pools[name], o.volumes[name] = detailOf(room), room.Volumes
		}
	}
	return o, len(o.pools) > 0
}

// admits says whether a class's allowedTopologies leave a node in. Other keys than ours are for kube-scheduler to judge.
func admits(terms []corev1.TopologySelectorTerm, node string) bool {
	excludes := func(r corev1.TopologySelectorLabelRequirement) bool {
		return r.Key == labelNode && !slices.Contains(r.Values, node)
	}
	return len(terms) == 0 || slices.ContainsFunc(terms, func(t corev1.TopologySelectorTerm) bool {
		return !slices.ContainsFunc(t.MatchLabelExpressions, excludes)
	})
}
