package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	extender "github.com/loam-storage/loam/scheduler-extender"
)

// user is the pod that a volume would be made for; nil while there is none.
func (x *explaining) user() *corev1.Pod {
	for _, p := range x.users {
		if p.Spec.NodeName == "" {
			return p
		}
	}
	if len(x.users) > 0 {
		return x.users[0]
	}
	return nil
}

// verdicts judge every node: by the rules of the scheduler extender, which are those of agents, and by what else the pod asks for.
func (x *explaining) verdicts(ctx context.Context, class storagev1.StorageClass) {
	pod := extender.Pod{UID: "none", Name: x.Claim, Claims: []string{x.Claim}}
	p := x.user()
	if p != nil {
		pod = extender.Pod{UID: "of " + p.Name, Name: p.Namespace + "/" + p.Name}
		for _, c := range claimsOf(p) {
			pod.Claims = append(pod.Claims, p.Namespace+"/"+c)
		}
		x.Scheduler = unplacedBecause(p)
	}
	names := make([]string, 0, len(x.in.Nodes))
	for _, n := range x.in.Nodes {
		names = append(names, n.Name)
	}
	answer := x.undecided(pod.Claims).Index().Filter(ctx, pod, names)
	why := map[int]string{}
	for _, r := range answer.Refused {
		why[r.Node] = answer.Reasons[r.Reason]
	}
	offers := x.offers()
	for i := range x.in.Nodes {
		n := &x.in.Nodes[i]
		v := Verdict{Node: n.Name, Reasons: []string{}}
		if o, offered := offers[n.Name]; offered {
			v.Largest = &o
		}
		if why[i] != "" {
			v.Reasons = append(v.Reasons, x.detailed(why[i], n.Name, v.Largest != nil, class))
		}
		if i := slices.IndexFunc(x.in.Agents, func(g Agent) bool { return g.Node == n.Name && g.Away }); i >= 0 && v.Largest != nil {
			v.Reasons = append(v.Reasons, "the agent is away: "+x.in.Agents[i].Problem)
		}
		if p != nil {
			v.Reasons = append(v.Reasons, constraints(p, n)...)
		}
		v.Fits = len(v.Reasons) == 0
		if v.Largest != nil && (x.Largest == nil || *v.Largest > x.Largest.Size) {
			x.Largest = &Place{n.Name, *v.Largest}
		}
		x.Nodes = append(x.Nodes, v)
	}
	slices.SortStableFunc(x.Nodes, func(a, b Verdict) int {
		return cmp.Or(boolean(b.Fits)-boolean(a.Fits), cmp.Compare(room(b), room(a)), strings.Compare(a.Node, b.Node))
	})
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// room orders nodes without an offer behind those whose offer is nothing.
func room(v Verdict) lvm.Bytes {
	if v.Largest == nil {
		return -1
	}
	return *v.Largest
}

// undecided are the objects as if no node had been chosen for those claims, and as if their classes waited for a pod: what is asked is
// where they would fit.
func (x *explaining) undecided(claims []string) extender.Listed {
	l := extender.Listed{Volumes: x.in.Volumes, Capacities: x.in.Capacities, Snapshots: x.in.Snapshots, Contents: x.in.Contents}
	waits := storagev1.VolumeBindingWaitForFirstConsumer
	for _, c := range x.in.Classes {
		c.VolumeBindingMode = &waits
		l.Classes = append(l.Classes, c)
	}
	for _, c := range x.in.Claims {
		if slices.Contains(claims, c.Namespace+"/"+c.Name) && c.Spec.VolumeName == "" {
			c.Annotations = nil
		}
		l.Claims = append(l.Claims, c)
	}
	return l
}

// offers are the largest volume of the claim's class that each node publishes. kube-scheduler goes by it, which is rounded down.
func (x *explaining) offers() map[string]lvm.Bytes {
	offers, of := map[string]lvm.Bytes{}, byID(x.in.Agents)
	for _, c := range x.in.Capacities {
		if c.StorageClassName != x.Class || c.NodeTopology == nil || c.MaximumVolumeSize == nil {
			continue
		}
		node := c.NodeTopology.MatchLabels[topologyKey]
		if g, there := of[node]; there {
			node = g.Node
		}
		for _, o := range c.OwnerReferences {
			if o.Kind == "Node" {
				node = o.Name
			}
		}
		offers[node] = lvm.Bytes(c.MaximumVolumeSize.Value())
	}
	return offers
}

// detailed is why a node does not fit, with what its agent says where it offers nothing.
func (x *explaining) detailed(why, node string, offers bool, class storagev1.StorageClass) string {
	if offers {
		return why
	}
	wanted := class.Parameters[parameterPool]
	i := slices.IndexFunc(x.in.Agents, func(g Agent) bool { return g.Node == node })
	switch {
	case i < 0 && x.in.Unread(Own):
		return why
	case i < 0:
		return "there is no agent of Loam"
	case x.in.Agents[i].Report == nil:
		return "the agent does not answer: " + x.in.Agents[i].Problem
	}
	r := x.in.Agents[i].Report
	if r.Pools == nil {
		return joined(append([]string{why}, r.Problems...)...)
	}
	at := slices.IndexFunc(r.Pools, func(p admin.Pool) bool { return wanted == "" || p.Name == wanted })
	switch {
	case at < 0 && wanted == "":
		return "no pool is configured there"
	case at < 0:
		return "there is no pool " + wanted
	case r.Pools[at].Problem != "":
		return fmt.Sprintf("pool %s gives nothing: %s", r.Pools[at].Name, r.Pools[at].Problem)
	case len(class.AllowedTopologies) > 0:
		return fmt.Sprintf("StorageClass %s may leave it out (allowedTopologies)", class.Name)
	}
	return why
}
