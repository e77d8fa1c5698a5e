package controller

import (
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// attempts remembers, for volumes that may be on one of several nodes, where a creation was sent whose end was not heard of:
// the volume may be there, or may yet come to be, and a second one on another node would belong to nobody. It is
// forgotten with the process (docs/decisions/0021).
type attempts struct {
	mu     sync.Mutex // guards what follows
	byName map[string]attempt
}

type attempt struct {
	node string // "" before it is sent
	busy bool   // a call for this name is at work
	last time.Time
}

// forgotten is the age at which an attempt that nobody repeated is dropped: external-provisioner repeats within minutes.
const forgotten = 24 * time.Hour

// begin starts the one call for a name, and returns the node that an earlier one was sent to and has not settled with.
// It is !ok while another call for that name is at work.
func (a *attempts) begin(name string, now time.Time) (node string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byName == nil {
		a.byName = map[string]attempt{}
	}
	for other, old := range a.byName {
		if !old.busy && now.Sub(old.last) > forgotten {
			delete(a.byName, other)
		}
	}
	has := a.byName[name]
	if has.busy {
		return "", false
	}
	a.byName[name] = attempt{node: has.node, busy: true, last: now}
	return has.node, true
}

// sent notes that the creation is about to go to a node; the one before it, if any, is settled.
func (a *attempts) sent(name, node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	has := a.byName[name]
	has.node = node
	a.byName[name] = has
}

// end ends the call. A settled one is forgotten: the caller knows where the volume is, or it is nowhere.
func (a *attempts) end(name string, settled bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	has := a.byName[name]
	if settled || has.node == "" {
		delete(a.byName, name)
		return
	}
	has.busy = false
	a.byName[name] = has
}

// settles says whether an agent that answers so to a CreateVolume has the volume and the caller knows, or decided, before it made
// anything, not to make it. After any other code, something may be there.
func settles(code codes.Code) bool {
	switch code {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.ResourceExhausted, codes.OutOfRange:
		return true
	}
	return false
}
