package extender

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

const extent = 4 * lvm.MiB

// world is an index and short ways to change it.
type world struct {
	*Index
	t testing.TB
}

// newWorld has the classes fast and fast-xfs of the pool fast, slow of the pool slow, any of whichever, and packed, which packs
// the pool fast.
func newWorld(t testing.TB) *world {
	w := &world{NewIndex(), t}
	w.Change(func(c *Change) {
		c.SetClass("fast", Class{Pool: "fast", Waits: true})
		c.SetClass("fast-xfs", Class{Pool: "fast", Waits: true})
		c.SetClass("packed", Class{Pool: "fast", Waits: true, Binpack: true})
		c.SetClass("slow", Class{Pool: "slow", Waits: true})
		c.SetClass("any", Class{Waits: true})
		c.SetClass("at-once", Class{Pool: "fast"})
	})
	w.Ready()
	return w
}

// offer publishes what a node has for a class: "fast 10 pvc-1" is 10 GiB of the pool fast, which has counted that volume.
func (w *world) offer(node, class string, pools ...string) {
	o := Offer{Node: node, ID: node, Class: class, Pools: published.Pools{}}
	for _, p := range pools {
		f := strings.Fields(p)
		var gib lvm.Bytes
		if _, err := fmt.Sscan(f[1], &gib); err != nil {
			w.t.Fatal(err)
		}
		o.Pools[f[0]] = published.Pool{Available: gib * lvm.GiB, Extent: extent, Volumes: published.Of(f[2:])}
		o.Capacity += gib * lvm.GiB
		o.Largest = max(o.Largest, gib*lvm.GiB)
	}
	w.Change(func(c *Change) { c.SetOffer(node+"/"+class, o) })
}

// claim asks for so many GiB; its UID is its name.
func (w *world) claim(name, class string, gib lvm.Bytes, change ...func(*Claim)) {
	c := Claim{UID: name, Class: class, Size: gib * lvm.GiB}
	for _, f := range change {
		f(&c)
	}
	w.Change(func(ch *Change) { ch.SetClaim("ns/"+name, c) })
}

func on(node string) func(*Claim)      { return func(c *Claim) { c.Node = node } }
func bound(volume string) func(*Claim) { return func(c *Claim) { c.Volume = volume } }
func from(kind, name string) func(*Claim) {
	return func(c *Claim) { c.Source = Source{kind, "ns/" + name} }
}

// volume is the one of a claim by that name, in pool fast.
func (w *world) volume(claim, node string, gib lvm.Bytes) {
	name := "pvc-" + claim
	w.Change(func(c *Change) {
		c.SetVolume(name, Volume{volume.ID{Node: node, LV: name}, "fast", gib * lvm.GiB}, "ns/"+claim)
	})
}

func pod(name string, claims ...string) Pod {
	p := Pod{UID: "uid-" + name, Name: "ns/" + name}
	for _, c := range claims {
		p.Claims = append(p.Claims, "ns/"+c)
	}
	return p
}

// where a pod fits, and why not elsewhere, with how many nodes that is true of.
func (w *world) where(p Pod, nodes ...string) (fit string, why []string) {
	w.t.Helper()
	return words(w.Filter(context.Background(), p, nodes), nodes)
}

func words(a Answer, nodes []string) (fit string, why []string) {
	var names []string
	for _, at := range a.Fits {
		names = append(names, nodes[at])
	}
	count := make([]int, len(a.Reasons))
	for _, r := range a.Refused {
		count[r.Reason]++
	}
	for i, text := range a.Reasons {
		why = append(why, fmt.Sprintf("%d %s", count[i], text))
	}
	slices.Sort(why)
	return strings.Join(names, " "), why
}

func (w *world) expect(when string, p Pod, nodes, fit string, why ...string) {
	w.t.Helper()
	got, reasons := w.where(p, strings.Fields(nodes)...)
	if got != fit {
		w.t.Errorf("%s: fits on %q (%q), want %q", when, got, reasons, fit)
	}
	if !slices.Equal(reasons, why) {
		w.t.Errorf("%s: refused since %q, want %q", when, reasons, why)
	}
	w.Change(func(c *Change) { c.settled = append(c.settled, settledAll(p)...) }) // the next question is of another moment
}

func settledAll(p Pod) (all []settled) {
	for _, c := range p.Claims {
		all = append(all, settled{claim: c, slot: nowhere})
	}
	return all
}
