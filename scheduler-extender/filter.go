package extender

import (
	"context"
	"time"
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
	var c candidates
	c.ask(bytesOf(nodes))
	return i.filter(ctx, pod, &c)
}

// filter answers with the candidates' memory.
func (i *Index) filter(ctx context.Context, pod Pod, c *candidates) Answer {
	var timer *time.Timer
	for last := false; ; {
		d := i.demand(pod)
		if len(d.wants) == 0 || d.problem != "" {
			a := d.try(c, nil)
			i.forget(pod)
			return a
		}
		c.find(i.view.Load())
		a, wait := i.tell(d, c, last)
		if wait == nil {
			i.recheck(d)
			return a
		}
		if timer == nil {
			timer = time.NewTimer(patience)
			defer timer.Stop()
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

// tell answers and counts, or says what to wait for.
func (i *Index) tell(d demand, c *candidates, last bool) (a Answer, wait <-chan struct{}) {
	i.placing.mu.Lock()
	defer i.placing.mu.Unlock()
	i.placing.expire(time.Now())
	now := i.view.Load() // with the lock: what is in placement no more is counted there
	c.find(now)
	var t *trial
	i.placing.without(d.pod, func(m marks) {
		t = newTrial(d.wants, now, m)
		a = d.try(c, t)
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
		a.keep(best(c.left, c.sorted, fewer))
	}
	slots := make([]int32, 0, len(a.Fits))
	for _, at := range a.Fits {
		slots = append(slots, c.slots[at])
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

// try asks of each node whether a pod fits there, and what that leaves on those where it does. Without a trial there is
// nothing to be made, and the pod fits where its claims do not leave another node.
func (d demand) try(c *candidates, t *trial) (a Answer) {
	r := reasons{wants: d.wants}
	c.left = c.left[:0]
	a.Fits, a.Refused = c.fits[:0], c.refused[:0]
	refuse := func(at, why int) { a.Refused = append(a.Refused, Refused{at, why}) }
	for at := range c.names {
		if d.problem != "" {
			refuse(at, r.of(elsewhere, nowhere, func() string { return d.problem }))
			continue
		}
		if which := d.pinnedElsewhere(c.names[at]); which >= 0 {
			refuse(at, r.of(elsewhere, which, func() string { return d.pins[which].why }))
			continue
		}
		if t == nil {
			a.Fits = append(a.Fits, at)
			continue
		}
		if c.slots[at] == nowhere {
			refuse(at, r.of(unknown, 0, func() string { return "no agent of Loam tells what is free there" }))
			continue
		}
		rest, why, which := t.at(int(c.slots[at]))
		if why != fits {
			a.contested = a.contested || why == contested
			refuse(at, r.room(why, which))
			continue
		}
		a.Fits, c.left = append(a.Fits, at), append(c.left, rest)
	}
	a.Reasons, c.refused = r.texts, a.Refused
	return a
}

// pinnedElsewhere is the number of a claim that leaves another node than that; -1 if none does.
func (d demand) pinnedElsewhere(name []byte) int {
	for i, p := range d.pins {
		if p.node != string(name) {
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
	var c candidates
	c.ask(bytesOf(nodes))
	return i.prioritize(pod, &c)
}

// prioritize answers with the candidates' memory.
func (i *Index) prioritize(pod Pod, c *candidates) []int64 {
	d := i.demand(pod)
	if len(d.wants) == 0 || d.problem != "" {
		return make([]int64, len(c.names))
	}
	c.find(i.view.Load())
	i.placing.mu.Lock()
	now := i.view.Load()
	c.find(now)
	i.placing.without(d.pod, func(m marks) {
		t := newTrial(d.wants, now, m)
		for at, slot := range c.slots {
			left := unfit
			if slot != nowhere && d.pinnedElsewhere(c.names[at]) < 0 {
				if rest, why, _ := t.at(int(slot)); why == fits {
					left = rest
				}
			}
			c.left = append(c.left, left)
		}
	})
	i.placing.mu.Unlock()
	return scores(c.left, c.sorted)
}
