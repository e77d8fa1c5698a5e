package extender

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

// soakTime is how long the soak lasts: LOAM_SOAK=10m, for one that deserves its name.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("LOAM_SOAK")
	if text == "" {
		return time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("LOAM_SOAK=%q: %v", text, err)
	}
	return d
}

// reality is a cluster that the index hears of, each kind in its own time. Its nodes promise nothing that they do not have.
type reality struct {
	*world
	handler http.Handler

	mu    sync.Mutex
	nodes []*realNode
	full  int // volumes that their node had no room for
	made  int
}

type realNode struct {
	name    string
	size    lvm.Bytes
	volumes map[string]lvm.Bytes
}

func (n *realNode) free() lvm.Bytes {
	left := n.size
	for _, size := range n.volumes {
		left -= size
	}
	return left
}

// create is CreateVolume.
func (r *reality) create(n *realNode, lv string, size lvm.Bytes) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.free() < size {
		r.full++
		return false
	}
	r.made++
	n.volumes[lv] = size
	return true
}

func (r *reality) remove(n *realNode, lv string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(n.volumes, lv)
}

// publish is what an agent does now and then, in one of the objects of its two classes after the other.
func (r *reality) publish(n *realNode) {
	r.mu.Lock()
	var lvs []string
	for lv := range n.volumes {
		lvs = append(lvs, lv)
	}
	free := n.free()
	r.mu.Unlock()
	p := published.Pools{"fast": {Available: free, Extent: extent, Volumes: published.Of(lvs)}}
	for _, class := range []string{"fast", "fast-xfs"} {
		r.Change(func(c *Change) {
			c.SetOffer(n.name+class, Offer{Node: n.name, ID: n.name, Class: class, Capacity: free, Largest: free, Pools: p})
		})
	}
}

// TestSoak is several schedulers, provisioners and agents at once, on nodes that are nearly full, while figures are published
// late. No volume that the index let through is ever refused by its node: what is on its way is never forgotten.
func TestSoak(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), soakTime(t))
	defer cancel()
	r := &reality{world: newWorld(t)}
	r.handler = NewHandler(r.Index, slog.New(slog.DiscardHandler))
	var names []string
	for i := range 12 {
		n := &realNode{name: fmt.Sprint("n", i), size: lvm.Bytes(2+i/2) * lvm.GiB, volumes: map[string]lvm.Bytes{}}
		r.nodes, names = append(r.nodes, n), append(names, n.name)
		r.publish(n)
	}
	var work sync.WaitGroup
	work.Go(func() { // the agents
		for ctx.Err() == nil {
			r.publish(r.nodes[rand.IntN(len(r.nodes))])
			time.Sleep(200 * time.Microsecond)
		}
	})
	for s := range 4 {
		work.Go(func() { r.live(ctx, names, fmt.Sprint("s", s)) })
	}
	work.Wait()
	t.Logf("%d volumes made, %d refused by their node", r.made, r.full)
	if r.full > 0 || r.made < 10 {
		t.Errorf("%d volumes did not fit where they were sent, of %d; want none of many", r.full, r.made+r.full)
	}
}

// live is pods, one after another: each is placed, its volumes are made, and in the end deleted, most of them some time later.
func (r *reality) live(ctx context.Context, names []string, prefix string) {
	var ends []func()
	for k := 0; ctx.Err() == nil; k++ {
		name := fmt.Sprintf("%s-%d", prefix, k)
		if end := r.pod(ctx, names, name); end != nil {
			ends = append(ends, end)
		}
		if len(ends) > 20 {
			at := rand.IntN(len(ends))
			ends[at]()
			ends = append(ends[:at], ends[at+1:]...)
		}
	}
	for _, end := range ends {
		end()
	}
}

// place asks as kube-scheduler does, for the nodes that a pod fits on and then for their scores.
func (r *reality) place(ctx context.Context, name string, names []string) []string {
	ask := func(verb string, nodes []string, into any) {
		body, err := json.Marshal(&extenderv1.ExtenderArgs{Pod: schedulersPod(name, name+"-data", name+"-wal"), NodeNames: &nodes})
		if err != nil {
			r.t.Error(err)
		}
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, verb, bytes.NewReader(body)))
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			r.t.Errorf("%s: %d %s (%v)", verb, w.Code, w.Body, err)
		}
	}
	var result extenderv1.ExtenderFilterResult
	if ask("/filter", names, &result); result.NodeNames == nil || len(*result.NodeNames) == 0 {
		return nil
	}
	fit := *result.NodeNames
	var scores extenderv1.HostPriorityList
	ask("/prioritize", fit, &scores)
	for at, node := range fit {
		if len(scores) != len(fit) || scores[at].Host != node || !slices.Contains(names, node) {
			r.t.Errorf("scores %v for the nodes %q of %q", scores, fit, names)
			return nil
		}
	}
	return fit
}

// pod is one pod with two claims. It returns how to end it, nil if it went nowhere.
func (r *reality) pod(ctx context.Context, names []string, name string) func() {
	size := lvm.Bytes(1+rand.IntN(100)) * 8 * lvm.MiB
	ask := func(suffix, class string, change ...func(*Claim)) {
		c := Claim{UID: name + suffix, Class: class, Size: size}
		for _, f := range change {
			f(&c)
		}
		r.Change(func(ch *Change) { ch.SetClaim("ns/"+name+suffix, c) })
	}
	ask("-data", "fast")
	ask("-wal", "fast-xfs")
	forget := func() {
		r.Change(func(c *Change) { c.RemoveClaim("ns/" + name + "-data"); c.RemoveClaim("ns/" + name + "-wal") })
	}
	fit := r.place(ctx, name, names)
	if len(fit) == 0 || ctx.Err() != nil {
		forget()
		return nil
	}
	n := r.nodes[slices.Index(names, fit[rand.IntN(len(fit))])]
	ask("-data", "fast", on(n.name))
	time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	ask("-wal", "fast-xfs", on(n.name))
	for _, suffix := range []string{"-data", "-wal"} {
		lv := "pvc-" + name + suffix
		if !r.create(n, lv, size) {
			continue
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		there := func(c *Change) {
			c.SetVolume(lv, Volume{volume.ID{Node: n.name, LV: lv}, "fast", size}, "ns/"+name+suffix)
		}
		if rand.IntN(2) == 0 { // the two watches may tell in either order
			r.Change(there)
			ask(suffix, "fast", on(n.name), bound(lv))
		} else {
			ask(suffix, "fast", on(n.name), bound(lv))
			r.Change(there)
		}
	}
	return func() {
		forget()
		for _, suffix := range []string{"-data", "-wal"} {
			lv := "pvc-" + name + suffix
			r.remove(n, lv)
			r.Change(func(c *Change) { c.RemoveVolume(lv) })
		}
	}
}
