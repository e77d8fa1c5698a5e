package extender

import (
	"context"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// patience is how long Filter waits for the nodes of pods in placement to be written, if only those stand in the way.
// kube-scheduler writes them at once, beside its next question, and places nothing else until it is answered.
const patience = 150 * time.Millisecond

// Answer says which of the nodes that were asked about fit.
type Answer struct {
	Fits    []int // positions, in order
	Refused []Refused
	Reasons []string

	contested bool // pods in placement may have the room on some that are refused
}

// Refused is a node that does not fit.
type Refused struct {
	Node   int // position
	Reason int // in Reasons
}

// Filter says on which of the nodes all claims of a pod fit, and counts them there until kube-scheduler has chosen one.
// While other pods are in placement it names fewer nodes, the best ones: as every pod is counted on each node that it was
// told, a burst would otherwise fill the cluster by saying where it may go.
func (i *Index) Filter(ctx context.Context, pod Pod, nodes []string) Answer {
	var a Answer
	var wait <-chan struct{}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for last := false; ; {
		d := i.demand(pod)
		if len(d.wants) == 0 || d.problem != "" {
			a, _ = d.try(nodes, i.view.Load(), nil)
			i.forget(pod)
			return a
		}
		if a, wait = i.filter(d, nodes, last); wait == nil {
			i.recheck(d)
			return a
		}
		select {
		case <-wait:
		case <-timer.C:
			last = true
		case <-ctx.Done():
			last = true
		}
	}
}

// filter answers and counts, or says what to wait for.
func (i *Index) filter(d demand, nodes []string, last bool) (a Answer, wait <-chan struct{}) {
	i.placing.mu.Lock()
	defer i.placing.mu.Unlock()
	i.placing.expire(time.Now())
	now := i.view.Load() // with the lock: what is in placement no more is counted there
	var t *trial
	var left []lvm.Bytes
	i.placing.without(d.pod, func(m marks) {
		t = newTrial(d.wants, now, m)
		a, left = d.try(nodes, now, t)
	})
	if len(a.Fits) == 0 {
		i.placing.release(d.pod)
		if !last && a.contested {
			return a, i.placing.news()
		}
		return a, nil
	}
	others := len(i.placing.pods)
	if _, again := i.placing.pods[d.pod]; again {
		others--
	}
	if fewer := (len(a.Fits) + others) / (others + 1); fewer < len(a.Fits) {
		a.keep(best(left, fewer))
	}
	slots := make([]int, 0, len(a.Fits))
	for _, at := range a.Fits {
		slots = append(slots, now.slots[nodes[at]])
	}
	i.placing.mark(d.pod, t.rounded(), slots)
	return a, nil
}

// forget counts a pod no more that has nothing to be placed.
func (i *Index) forget(pod Pod) {
	i.placing.mu.Lock()
	defer i.placing.mu.Unlock()
	i.placing.release(pod.UID)
}

// recheck settles claims of which there was news while their pod was answered.
func (i *Index) recheck(d demand) {
	var news []settled
	i.mu.RLock()
	for _, w := range d.wants {
		if claim, known := i.claims[w.key]; !known || claim.Node != "" || claim.Volume != "" {
			news = append(news, settled{claim: w.key, slot: nowhere})
		}
	}
	i.mu.RUnlock()
	i.placing.settle(news)
}

// try asks of each node whether a pod fits there, and what that leaves on those where it does.
func (d demand) try(nodes []string, v *view, t *trial) (a Answer, left []lvm.Bytes) {
	r := reasons{wants: d.wants}
	refuse := func(at, why int) { a.Refused = append(a.Refused, Refused{at, why}) }
	for at, name := range nodes {
		if d.problem != "" {
			refuse(at, r.of(elsewhere, nowhere, func() string { return d.problem }))
			continue
		}
		if which := d.pinnedElsewhere(name); which >= 0 {
			refuse(at, r.of(elsewhere, which, func() string { return d.pins[which].why }))
			continue
		}
		if t == nil {
			a.Fits = append(a.Fits, at)
			continue
		}
		slot, known := v.slots[name]
		if !known {
			refuse(at, r.of(unknown, 0, func() string { return "no agent of Loam tells what is free there" }))
			continue
		}
		rest, why, which := t.at(slot)
		if why != fits {
			a.contested = a.contested || why == contested
			refuse(at, r.room(why, which))
			continue
		}
		a.Fits, left = append(a.Fits, at), append(left, rest)
	}
	a.Reasons = r.texts
	return a, left
}

// pinnedElsewhere is the number of a claim that leaves another node than that; -1 if none does.
func (d demand) pinnedElsewhere(name string) int {
	for i, p := range d.pins {
		if p.node != name {
			return i
		}
	}
	return -1
}

// keep leaves those of Fits that have the positions.
func (a *Answer) keep(positions []int) {
	kept := make([]int, 0, len(positions))
	for _, p := range positions {
		kept = append(kept, a.Fits[p])
	}
	a.Fits = kept
}

// Prioritize scores nodes from 0 to 10 by the room that a pod's claims would leave there. A pod without claims that are to be
// made, and of nodes that are alike, gets the same score everywhere.
func (i *Index) Prioritize(pod Pod, nodes []string) []int64 {
	d := i.demand(pod)
	if len(d.wants) == 0 || d.problem != "" {
		return make([]int64, len(nodes))
	}
	left := make([]lvm.Bytes, len(nodes))
	i.placing.mu.Lock()
	now := i.view.Load()
	i.placing.without(d.pod, func(m marks) {
		t := newTrial(d.wants, now, m)
		for at, name := range nodes {
			left[at] = unfit
			slot, known := now.slots[name]
			if !known || d.pinnedElsewhere(name) >= 0 {
				continue
			}
			if rest, why, _ := t.at(slot); why == fits {
				left[at] = rest
			}
		}
	})
	i.placing.mu.Unlock()
	return scores(left)
}
