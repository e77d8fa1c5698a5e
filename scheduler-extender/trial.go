package extender

import (
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// misfit says why a node does not fit.
type misfit int

const (
	fits      misfit = iota
	noPool           // no pool there for the class of a claim
	tooLarge         // no volume of that size can be made there
	noRoom           // too little room for a claim
	together         // too little room for all claims, though for each of them
	contested        // there is room, but pods that are being placed may take it
	elsewhere        // a claim leaves another node
	unknown          // no agent tells of that node
)

// trial puts the wants of a pod into the pools of one node after another.
type trial struct {
	wants   []want
	columns []*column // of their classes, nil for one that no node serves
	marks   marks     // what pods in placement may take; the pod's own not among it

	chosen  []poolRoom // for each want
	used    []use
	needed  []need
	extents []lvm.Bytes // for each want, the largest of the pools that it fitted
}

// need is a want's size in whole extents. Nearly all pools have the same, so the division is made once.
type need struct{ extent, size lvm.Bytes }

// use is what the wants so far take of a pool.
type use struct {
	pool  poolNumber
	bytes lvm.Bytes
}

func newTrial(wants []want, v *view, m marks) *trial {
	t := &trial{
		wants: wants, marks: m, columns: make([]*column, 0, len(wants)),
		chosen: make([]poolRoom, len(wants)), extents: make([]lvm.Bytes, len(wants)), needed: make([]need, len(wants)),
	}
	for _, w := range wants {
		t.columns = append(t.columns, v.columns[w.class])
	}
	return t
}

// at says whether all wants fit on the node with that slot, and how much room that leaves: of a class that spreads, the more
// the better, of one that packs, the less. Otherwise it says why not, and for which want.
func (t *trial) at(slot int) (left lvm.Bytes, why misfit, which int) {
	left, why, which = t.fit(slot)
	if (why == noRoom || why == together) && t.marks.any(slot) {
		alone := trial{wants: t.wants, columns: t.columns, chosen: t.chosen, needed: t.needed, extents: slices.Clone(t.extents)}
		if _, without, _ := alone.fit(slot); without == fits {
			why = contested
		}
	}
	return left, why, which
}

func (t *trial) fit(slot int) (left lvm.Bytes, why misfit, which int) {
	t.used = t.used[:0]
	for i := range t.wants {
		if why := t.put(i, slot); why != fits {
			return 0, why, i
		}
	}
	// Two classes of one pool may have been published at different moments: it is enough only if both say so.
	for i, w := range t.wants {
		p := t.chosen[i]
		t.extents[i] = max(t.extents[i], p.extent)
		after := p.free - t.uses(p.number) - t.marks.on(slot, p.number)
		if after < 0 {
			return 0, together, i
		}
		if w.binpack {
			after = -after
		}
		left += after
	}
	return left, fits, 0
}

// rounded are the wants as large as the pools that they fitted make them.
func (t *trial) rounded() []want {
	all := append([]want(nil), t.wants...)
	for i := range all {
		all[i].size = all[i].size.RoundUp(max(1, t.extents[i]))
	}
	return all
}

// put chooses a pool for one want as agents do: of those that have room for it, the one with most.
func (t *trial) put(i, slot int) misfit {
	if t.columns[i] == nil {
		return noPool
	}
	r, size := t.columns[i].at(slot), t.wants[i].size
	switch {
	case len(r.pools) == 0:
		return noPool
	case size > r.largest:
		return tooLarge
	}
	best, most, alone := -1, lvm.Bytes(-1), false
	for k := range r.pools {
		p := &r.pools[k]
		used, needs := t.uses(p.number), t.need(i, p.extent)
		left := p.free - used - t.marks.on(slot, p.number)
		if left >= needs && left > most {
			best, most = k, left
		}
		alone = alone || used > 0 && left+used >= needs
	}
	switch {
	case best < 0 && alone:
		return together
	case best < 0:
		return noRoom
	}
	t.chosen[i] = r.pools[best]
	t.use(r.pools[best].number, t.need(i, r.pools[best].extent))
	return fits
}

// need is what a want takes of a pool with that extent.
func (t *trial) need(i int, extent lvm.Bytes) lvm.Bytes {
	n := &t.needed[i]
	if n.extent != extent || n.size == 0 {
		*n = need{extent, t.wants[i].size.RoundUp(max(1, extent))}
	}
	return n.size
}

func (t *trial) uses(pool poolNumber) lvm.Bytes {
	for _, u := range t.used {
		if u.pool == pool {
			return u.bytes
		}
	}
	return 0
}

func (t *trial) use(pool poolNumber, bytes lvm.Bytes) {
	for i := range t.used {
		if t.used[i].pool == pool {
			t.used[i].bytes += bytes
			return
		}
	}
	t.used = append(t.used, use{pool, bytes})
}

// marks are the bytes that pods in placement may take, by pool and slot.
type marks [][]lvm.Bytes

// on is what they may take of a pool. What goes into any pool may go into this one.
func (m marks) on(slot int, pool poolNumber) lvm.Bytes {
	sum := m.of(slot, pool)
	if pool != anyPool {
		sum += m.of(slot, anyPool)
	}
	return sum
}

func (m marks) of(slot int, pool poolNumber) lvm.Bytes {
	if int(pool) >= len(m) || slot >= len(m[pool]) {
		return 0
	}
	return m[pool][slot]
}

func (m marks) any(slot int) bool {
	for _, of := range m {
		if slot < len(of) && of[slot] != 0 {
			return true
		}
	}
	return false
}

// add marks a slot; negative bytes take a mark away.
func (m *marks) add(slot int, pool poolNumber, bytes lvm.Bytes) {
	for int(pool) >= len(*m) {
		*m = append(*m, nil)
	}
	of := &(*m)[pool]
	if slot >= len(*of) {
		*of = append(*of, make([]lvm.Bytes, slot+1-len(*of))...)
	}
	(*of)[slot] += bytes
}
