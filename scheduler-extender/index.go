package extender

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

// claimPrefix begins the names of volumes: external-provisioner's --volume-name-prefix.
const claimPrefix = "pvc-"

// Index knows what the nodes can give, and the claims. It is made by NewIndex, fed by Change, and asked by Filter and
// Prioritize, by many at once.
type Index struct {
	view    atomic.Pointer[view]
	ready   atomic.Bool
	placing placing

	mu        sync.RWMutex // guards what follows
	claims    map[string]Claim
	volumes   map[string]*present
	classes   map[string]Class
	snapshots map[string]string // the VolumeSnapshotContent of a VolumeSnapshot
	contents  map[string]string // the ID of the node that has a VolumeSnapshotContent
	nodes     map[string]*node  // by ID
	ids       map[string]string // of Nodes whose ID is another than their name
	offers    map[string]*node  // whose they are
	pools     map[string]poolNumber
	vacant    []vacant
	slots     int
}

// node is what is known of one node.
type node struct {
	id, name string
	slot     int
	offers   map[string]*offer
	volumes  []*present
	claims   map[string]struct{} // for which it was chosen and which have no PersistentVolume yet
}

func (n *node) idle() bool { return len(n.offers)+len(n.volumes)+len(n.claims) == 0 }

// present is a PersistentVolume of ours.
type present struct {
	Volume
	key    uint32
	number poolNumber
}

// vacant is a slot of a node that has gone. It is used again when no pod can be in placement on it any more.
type vacant struct {
	slot int
	at   time.Time
}

// NewIndex is an index that knows nothing and is not ready.
func NewIndex() *Index {
	i := &Index{
		claims: map[string]Claim{}, volumes: map[string]*present{}, classes: map[string]Class{},
		snapshots: map[string]string{}, contents: map[string]string{},
		nodes: map[string]*node{}, ids: map[string]string{}, offers: map[string]*node{}, pools: map[string]poolNumber{"": anyPool},
	}
	i.view.Store(&view{names: &names{}, columns: map[string]*column{}})
	return i
}

// Ready tells the index that it has been fed all there is. Before, it answers nothing.
func (i *Index) Ready() {
	i.Change(func(c *Change) {
		i.ready.Store(true)
		c.linkAll("")
		c.touchAll()
	})
}

// IsReady says whether Ready was called.
func (i *Index) IsReady() bool { return i.ready.Load() }

// Change makes a number of changes one: nobody sees a part of them.
func (i *Index) Change(make func(*Change)) {
	c := &Change{Index: i, touched: map[*node]struct{}{}}
	func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		make(c)
		if i.ready.Load() {
			c.publish()
		} else {
			c.settled = nil
		}
	}()
	i.placing.settle(c.settled) // after what was chosen is counted, so that at no moment it is not
}

// Change is a change of an Index, while Index.Change makes it.
type Change struct {
	*Index
	touched map[*node]struct{}
	settled []settled
	renamed bool // a node came or went
	gone    []goneRoom
}

// goneRoom is one that a node had, for a class that it has no offer for now.
type goneRoom struct {
	class string
	slot  int
}

func (c *Change) touch(n *node) { c.touched[n] = struct{}{} }

// publish makes the view of what was touched.
func (c *Change) publish() {
	if len(c.touched) == 0 {
		return
	}
	now := c.view.Load()
	r := now.revise()
	for _, g := range c.gone {
		r.set(g.class, g.slot, room{})
	}
	for n := range c.touched {
		c.renamed = c.retire(n) || c.renamed
		all := c.held(n)
		for _, o := range n.offers {
			r.set(o.class, n.slot, roomLeft(o, c.poolsOf(o), all))
		}
	}
	if c.renamed || len(now.names.slots) != len(c.nodes) {
		r.next.names = &names{make(map[string]int32, len(c.nodes))}
		for _, n := range c.nodes {
			r.next.names.slots[n.name] = int32(n.slot)
		}
	}
	c.view.Store(r.next)
}

// retire forgets a node of which nothing is known any more.
func (c *Change) retire(n *node) bool {
	if !n.idle() || c.nodes[n.id] != n {
		return false
	}
	delete(c.nodes, n.id)
	if c.ids[n.name] == n.id {
		delete(c.ids, n.name)
	}
	c.vacant = append(c.vacant, vacant{n.slot, time.Now()})
	return true
}

// held is what volumes and claims take of a node, published or not.
func (i *Index) held(n *node) []held {
	all := make([]held, 0, len(n.volumes)+len(n.claims))
	for _, v := range n.volumes {
		all = append(all, held{v.key, v.number, v.Size, true})
	}
	for key := range n.claims {
		claim := i.claims[key]
		class, ours := i.classes[claim.Class]
		lv := published.Key(volume.VolumeLV(claimPrefix + claim.UID))
		if !ours || slices.ContainsFunc(n.volumes, func(v *present) bool { return v.key == lv }) {
			continue
		}
		all = append(all, held{lv, i.pool(class.Pool), claim.Size, false})
	}
	return all
}

// offer is what is kept of an Offer.
type offer struct {
	class             string
	capacity, largest lvm.Bytes
	pools             []pool // in the order of their names; nil: the agent is too old to say
}

// keep is without the names: a map for each of 15,000 objects would be a tenth of all memory.
func (i *Index) keep(o Offer) *offer {
	of := &offer{class: o.Class, capacity: o.Capacity, largest: o.Largest}
	if o.Pools != nil {
		of.pools = make([]pool, 0, len(o.Pools))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Pools)) {
		of.pools = append(of.pools, pool{i.pool(name), o.Pools[name]})
	}
	return of
}

func (i *Index) poolsOf(o *offer) []pool {
	if o.pools == nil {
		return []pool{{i.pool(i.classes[o.class].Pool), published.Pool{Available: o.capacity}}}
	}
	return o.pools
}

// pool numbers pools as they come to be known. The lock is held for writing.
func (i *Index) pool(name string) poolNumber {
	number, known := i.pools[name]
	if !known {
		number = poolNumber(len(i.pools))
		i.pools[name] = number
	}
	return number
}

// node finds a node by its ID, or begins to know it.
func (c *Change) node(id string) *node {
	n, known := c.nodes[id]
	if !known {
		n = &node{id: id, name: id, slot: c.slot(), offers: map[string]*offer{}, claims: map[string]struct{}{}}
		c.nodes[id], c.renamed = n, true
	}
	c.touch(n)
	return n
}

func (c *Change) slot() int {
	if r := c.vacant; len(r) > 0 && time.Since(r[0].at) > 2*placingLife {
		c.vacant = r[1:]
		return r[0].slot
	}
	c.slots++
	return c.slots - 1
}

// called finds a node by the name of its Node object.
func (c *Change) called(name string) *node {
	if id, other := c.ids[name]; other {
		return c.node(id)
	}
	return c.node(name)
}

// name learns what a node's Node object is called. Claims may have chosen it by that name before.
func (c *Change) name(n *node, name string) {
	if n.name == name {
		return
	}
	delete(c.ids, n.name)
	n.name, c.renamed = name, true
	if name == n.id {
		return
	}
	c.ids[name] = n.id
	if before, known := c.nodes[name]; known && before.name == name {
		maps.Copy(n.claims, before.claims)
		clear(before.claims)
		c.touch(before)
	}
}
