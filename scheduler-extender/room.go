package extender

import (
	"maps"
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// poolNumber stands for a pool's name.
type poolNumber int32

// anyPool is where a claim goes whose class names none, until its volume is there.
const anyPool poolNumber = 0

// room is what a node has for one class; without pools, the node does not serve it.
type room struct {
	largest lvm.Bytes
	pools   []poolRoom
}

type poolRoom struct {
	number poolNumber
	free   lvm.Bytes // less what is on its way; negative if that is too much already
	extent lvm.Bytes
}

const pageSize = 64

// column has the rooms of all nodes for one class, in pages that views share until one of their rooms changes.
type column struct{ pages []*page }

// page has the rooms of some nodes side by side: asking all nodes of a large cluster is mostly waiting for memory.
type page struct {
	largest [pageSize]lvm.Bytes
	ends    [pageSize + 1]int32 // in pools: those of node i begin at ends[i]
	pools   []poolRoom
}

func (c *column) at(slot int) room {
	if number := slot / pageSize; number < len(c.pages) {
		p, at := c.pages[number], slot%pageSize
		return room{p.largest[at], p.pools[p.ends[at]:p.ends[at+1]]}
	}
	return room{}
}

func (p *page) set(at int, to room) {
	p.largest[at] = to.largest
	more := int32(len(to.pools)) - (p.ends[at+1] - p.ends[at])
	p.pools = slices.Replace(p.pools, int(p.ends[at]), int(p.ends[at+1]), to.pools...)
	for i := at + 1; i < len(p.ends); i++ {
		p.ends[i] += more
	}
}

func (p *page) clone() *page {
	own := *p
	own.pools = slices.Clone(p.pools)
	return &own
}

// view is what nodes can give, as it was at one moment. It never changes.
type view struct {
	names   *names
	columns map[string]*column
}

// names are the slots of Nodes.
type names struct{ slots map[string]int32 }

// candidates are the nodes that a pod may go to: as they are called, and where that is in a view. Memory of one question is
// used for the next.
type candidates struct {
	names [][]byte
	slots []int32 // nowhere for one that no agent tells of
	by    *names

	fits    []int       // positions of those where the pod fits
	left    []lvm.Bytes // what that leaves there
	refused []Refused
	sorted  []lvm.Bytes
}

// ask begins a question about others.
func (c *candidates) ask(nodes [][]byte) {
	c.names, c.by = nodes, nil
	c.fits = slices.Grow(c.fits[:0], len(nodes))
	c.left, c.sorted = slices.Grow(c.left[:0], len(nodes)), slices.Grow(c.sorted[:0], len(nodes))
}

// find looks the slots up, unless that was done by the same names.
func (c *candidates) find(v *view) {
	if c.by == v.names {
		return
	}
	c.by, c.slots = v.names, slices.Grow(c.slots[:0], len(c.names))
	for _, name := range c.names {
		slot, known := v.names.slots[string(name)]
		if !known {
			slot = nowhere
		}
		c.slots = append(c.slots, slot)
	}
}

func bytesOf(names []string) [][]byte {
	all := make([][]byte, 0, len(names))
	for _, name := range names {
		all = append(all, []byte(name))
	}
	return all
}

// revision makes the next view from one: it copies what it changes, once.
type revision struct {
	next   *view
	copied map[*column]map[int]bool // pages that are its own
}

func (v *view) revise() *revision {
	return &revision{next: &view{names: v.names, columns: maps.Clone(v.columns)}, copied: map[*column]map[int]bool{}}
}

func (r *revision) set(class string, slot int, to room) {
	c := r.column(class)
	number := slot / pageSize
	for len(c.pages) <= number {
		r.copied[c][len(c.pages)] = true
		c.pages = append(c.pages, &page{})
	}
	if !r.copied[c][number] {
		c.pages[number], r.copied[c][number] = c.pages[number].clone(), true
	}
	c.pages[number].set(slot%pageSize, to)
}

func (r *revision) column(class string) *column {
	c := r.next.columns[class]
	if _, own := r.copied[c]; c != nil && own {
		return c
	}
	own := &column{}
	if c != nil {
		own.pages = append(own.pages, c.pages...)
	}
	r.next.columns[class], r.copied[own] = own, map[int]bool{}
	return own
}
