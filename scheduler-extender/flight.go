package extender

import (
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/published"
)

// held is what a volume takes of its node, or a claim will.
type held struct {
	key  uint32 // published.Key of its logical volume
	pool poolNumber
	size lvm.Bytes
	made bool // the PersistentVolume is there
}

// pool is one of an offer's.
type pool struct {
	number    poolNumber
	published published.Pool
}

// roomLeft is what an offer has for new claims: what was published, less each volume and claim that this had not counted.
func roomLeft(o *offer, pools []pool, all []held) room {
	r := room{largest: o.largest, pools: make([]poolRoom, 0, len(pools))}
	for _, p := range pools {
		r.pools = append(r.pools, poolRoom{number: p.number, free: p.published.Available, extent: p.published.Extent})
	}
	for _, h := range all {
		if counted(o, pools, h) {
			continue
		}
		if p := r.takes(h); p != nil {
			p.free -= h.size.RoundUp(max(1, p.extent))
		}
	}
	return r
}

// counted says whether what was published has a volume in it. An agent that does not say is taken to have counted those
// that are there.
func counted(o *offer, pools []pool, h held) bool {
	if o.pools == nil {
		return h.made
	}
	for _, p := range pools {
		if p.published.Volumes.Has(h.key) && (p.number == h.pool || h.pool == anyPool) {
			return true
		}
	}
	return false
}

// takes is the pool that a volume is in or will be. Where any will do, agents choose the one with most room.
func (r *room) takes(h held) *poolRoom {
	var most *poolRoom
	for i := range r.pools {
		p := &r.pools[i]
		if p.number == h.pool {
			return p
		}
		if (h.pool == anyPool || p.number == anyPool) && (most == nil || p.free > most.free) {
			most = p
		}
	}
	return most
}
