package extender

import (
	"slices"
	"sync"
	"time"

	"github.com/loam-storage/loam/lvm"
)

const (
	// placingLife is how long a pod that was answered is waited for, if nobody ever hears of its claims again. kube-scheduler
	// writes the node that it chose at once, but it may have a queue of such writes (its --kube-api-qps).
	placingLife = time.Minute
	// leavingLife is the same once the pod is placed or gone: what was written about its claims is on its way.
	leavingLife = 5 * time.Second
)

// nowhere is the slot of no node.
const nowhere = -1

// settled is news of a claim, or of a pod, that may be in placement.
type settled struct {
	claim string
	slot  int // of the node that was chosen, or nowhere
	pod   string
}

// placing counts the pods in placement: those that were told where they fit, and whose claims show no node yet. Each is
// counted on every node that it was told, as it may go to any.
type placing struct {
	mu      sync.Mutex // guards what follows
	pods    map[string]*placed
	marks   marks
	changed chan struct{} // closed when a pod is in placement no more
}

// placed is a pod in placement.
type placed struct {
	wants []want // sizes rounded up as pools do
	slots []int32
	until time.Time
}

// mark counts a pod, in place of what was counted of it before. The lock is held.
func (p *placing) mark(pod string, wants []want, slots []int32) {
	p.release(pod)
	if p.pods == nil {
		p.pods = map[string]*placed{}
	}
	in := &placed{wants: wants, slots: slots, until: time.Now().Add(placingLife)}
	p.pods[pod] = in
	p.count(in, 1)
}

func (p *placing) count(in *placed, sign lvm.Bytes) {
	for _, w := range in.wants {
		for _, slot := range in.slots {
			p.marks.add(int(slot), w.pool, sign*w.size)
		}
	}
}

// release counts a pod no more. The lock is held.
func (p *placing) release(pod string) {
	if in, there := p.pods[pod]; there {
		delete(p.pods, pod)
		p.count(in, -1)
		p.tell()
	}
}

// expire releases those that nobody heard of. The lock is held.
func (p *placing) expire(now time.Time) {
	for pod, in := range p.pods {
		if now.After(in.until) {
			p.release(pod)
		}
	}
}

// news is closed at the next release. The lock is held.
func (p *placing) news() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *placing) tell() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// settle takes the claims that there is news of out of placement: they are counted where they are now. Once a node was chosen
// for one claim of a pod, it is chosen for all of them.
func (p *placing) settle(all []settled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range all {
		if len(p.pods) == 0 {
			return
		}
		if s.pod != "" {
			p.leave(s.pod)
			continue
		}
		for pod, in := range p.pods {
			if slices.ContainsFunc(in.wants, func(w want) bool { return w.key == s.claim }) {
				p.settleOne(pod, in, s)
			}
		}
	}
}

func (p *placing) settleOne(pod string, in *placed, s settled) {
	p.count(in, -1)
	defer p.tell()
	in.wants = slices.DeleteFunc(slices.Clone(in.wants), func(w want) bool { return w.key == s.claim })
	if len(in.wants) == 0 {
		delete(p.pods, pod)
		return
	}
	if s.slot != nowhere {
		in.slots = []int32{int32(s.slot)}
	}
	p.count(in, 1)
}

func (p *placing) leave(pod string) {
	if in, there := p.pods[pod]; there {
		if soon := time.Now().Add(leavingLife); soon.Before(in.until) {
			in.until = soon
		}
	}
}

// inPlacement says how many pods there are.
func (p *placing) inPlacement() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pods)
}

// without are the marks of all pods but that one. The lock is held, and the marks are as they were when it is released.
func (p *placing) without(pod string, use func(marks)) {
	in, there := p.pods[pod]
	if there {
		p.count(in, -1)
		defer p.count(in, 1)
	}
	use(p.marks)
}
