package extender

import (
	"fmt"
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// Pod is what a pod needs of us.
type Pod struct {
	UID    string
	Name   string   // namespace/name
	Claims []string // keys of its claims, namespace/name, those of ephemeral volumes among them
}

// demand is what the claims of a pod ask of a node.
type demand struct {
	pod     string
	wants   []want // the largest first: where several pools will do, that wastes least
	pins    []pin
	problem string // why the pod cannot go anywhere; "" if it may
}

// want is a claim that a volume is to be made for, on the node that will be chosen.
type want struct {
	key     string
	name    string // without its namespace
	class   string
	pool    poolNumber
	poolTag string // the pool's name
	size    lvm.Bytes
	binpack bool
}

// pin is a claim that leaves one node.
type pin struct{ node, why string }

// demand looks a pod's claims up.
func (i *Index) demand(pod Pod) demand {
	d := demand{pod: pod.UID}
	i.mu.RLock()
	defer i.mu.RUnlock()
	for at, key := range pod.Claims {
		if slices.Contains(pod.Claims[:at], key) {
			continue
		}
		claim, known := i.claims[key]
		switch {
		case !known:
			d.stop("claim %q does not exist, or not yet", bare(key))
		case claim.Volume != "":
			i.bound(&d, key, claim)
		default:
			i.unbound(&d, key, claim)
		}
	}
	slices.SortStableFunc(d.wants, func(a, b want) int { return int(min(1, max(-1, b.size-a.size))) })
	return d
}

func (d *demand) stop(format string, args ...any) {
	if d.problem == "" {
		d.problem = fmt.Sprintf(format, args...)
	}
}

// bound leaves the node that has a claim's volume, if that is one of ours.
func (i *Index) bound(d *demand, key string, claim Claim) {
	if v, ours := i.volumes[claim.Volume]; ours {
		node := i.nameOf(v.Node)
		d.pins = append(d.pins, pin{node, fmt.Sprintf("claim %q has its volume on node %s", bare(key), node)})
	} else if _, ours := i.classes[claim.Class]; ours {
		d.stop("claim %q is bound to PersistentVolume %s, which does not exist, or not yet", bare(key), claim.Volume)
	}
}

// unbound wants a volume for a claim, on the node that was chosen or that its content is on.
func (i *Index) unbound(d *demand, key string, claim Claim) {
	class, ours := i.classes[claim.Class]
	switch {
	case !ours:
		return
	case claim.Node != "":
		d.pins = append(d.pins, pin{claim.Node, fmt.Sprintf("claim %q is being made on node %s", bare(key), claim.Node)})
		return
	case !class.Waits:
		d.stop("claim %q has no volume yet, and StorageClass %s does not wait for a pod to make one", bare(key), claim.Class)
		return
	}
	if claim.Source.Kind != "" {
		i.source(d, key, claim)
	}
	d.wants = append(d.wants, want{
		key: key, name: bare(key), class: claim.Class, pool: i.pools[class.Pool], poolTag: class.Pool, size: claim.Size, binpack: class.Binpack,
	})
}

// source leaves the node that has what a claim's content comes from.
func (i *Index) source(d *demand, key string, claim Claim) {
	from := bare(claim.Source.Key)
	switch claim.Source.Kind {
	case kindSnapshot:
		if node, ours := i.contents[i.snapshots[claim.Source.Key]]; ours {
			d.pins = append(d.pins, pin{i.nameOf(node), fmt.Sprintf("claim %q is made from snapshot %q, which is on node %s", bare(key), from, i.nameOf(node))})
			return
		}
		d.stop("claim %q is made from snapshot %q, which is not there, not ready, or not one of Loam's", bare(key), from)
	case kindClaim:
		if v, ours := i.volumes[i.claims[claim.Source.Key].Volume]; ours {
			d.pins = append(d.pins, pin{i.nameOf(v.Node), fmt.Sprintf("claim %q is made from claim %q, whose volume is on node %s", bare(key), from, i.nameOf(v.Node))})
			return
		}
		d.stop("claim %q is made from claim %q, which has no volume of Loam's", bare(key), from)
	}
}

// The kinds of what a claim's content can come from. With any other, a volume populator makes it (Kubernetes, "Volume
// populators"), in a claim of its own.
const (
	kindSnapshot = "VolumeSnapshot"
	kindClaim    = "PersistentVolumeClaim"
)

// nameOf is the name of the Node object of the node with that ID.
func (i *Index) nameOf(id string) string {
	if n, known := i.nodes[id]; known {
		return n.name
	}
	return id
}

// bare is a key without its namespace.
func bare(key string) string {
	for at := range len(key) {
		if key[at] == '/' {
			return key[at+1:]
		}
	}
	return key
}
