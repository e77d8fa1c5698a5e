package extender

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
	"github.com/loam-storage/loam/published"
)

// filled has so many nodes with the classes fast, fast-xfs and slow, and 20 claims on each that are bound and published.
func filled(b *testing.B, nodes int) (w *world, names []string) {
	w = &world{NewIndex(), b}
	w.Change(func(c *Change) {
		for class, pool := range map[string]string{"fast": "fast", "fast-xfs": "fast", "slow": "slow"} {
			c.SetClass(class, Class{Pool: pool, Waits: true})
		}
		for n := range nodes {
			name := fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", n/250, n%250)
			names = append(names, name)
			var lvs []string
			for k := range 20 {
				claim := fmt.Sprintf("data-%d-%d", n, k)
				lvs = append(lvs, "pvc-"+claim)
				c.SetVolume("pvc-"+claim, Volume{volume.ID{Node: name, LV: "pvc-" + claim}, "fast", 10 * lvm.GiB}, "ns/"+claim)
				c.SetClaim("ns/"+claim, Claim{UID: claim, Class: "fast", Volume: "pvc-" + claim, Node: name, Size: 10 * lvm.GiB})
			}
			for class, pool := range map[string]string{"fast": "fast", "fast-xfs": "fast", "slow": "slow"} {
				room := lvm.TiB + lvm.Bytes(n)*lvm.MiB
				c.SetOffer(name+class, Offer{Node: name, ID: name, Class: class, Capacity: room, Largest: room,
					Pools: published.Pools{pool: {Available: room, Extent: extent, Volumes: published.Of(lvs)}}})
			}
		}
		for k, class := range []string{"fast", "fast-xfs", "slow"} {
			c.SetClaim(fmt.Sprint("ns/c", k), Claim{UID: fmt.Sprint("c", k), Class: class, Size: 10 * lvm.GiB})
		}
	})
	w.Ready()
	return w, names
}

// thrownAway is an answer of which only the length is kept.
type thrownAway struct {
	header http.Header
	code   int
	bytes  int
}

func (a *thrownAway) Header() http.Header { return a.header }

func (a *thrownAway) WriteHeader(code int) { a.code = code }

func (a *thrownAway) Write(b []byte) (int, error) {
	a.bytes += len(b)
	return len(b), nil
}

// BenchmarkFilterAndPrioritize is what one pod with three claims costs, bodies as kube-scheduler sends them.
func BenchmarkFilterAndPrioritize(b *testing.B) {
	for _, nodes := range []int{100, 500, 1000, 5000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			w, names := filled(b, nodes)
			h := NewHandler(w.Index, slog.New(slog.DiscardHandler))
			body, err := json.Marshal(&extenderv1.ExtenderArgs{Pod: schedulersPod("p", "c0", "c1", "c2"), NodeNames: &names})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			written := 0
			for b.Loop() {
				for _, verb := range []string{"/filter", "/prioritize"} {
					answer := &thrownAway{header: http.Header{}}
					h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, verb, bytes.NewReader(body)))
					if answer.code != 0 {
						b.Fatal(answer.code)
					}
					written = answer.bytes
				}
			}
			b.ReportMetric(float64(written), "B/answer")
		})
	}
}

// BenchmarkChange is what one published figure costs, which should not depend on how many nodes and claims there are.
func BenchmarkChange(b *testing.B) {
	for _, nodes := range []int{100, 5000} {
		b.Run(fmt.Sprint(nodes), func(b *testing.B) {
			w, names := filled(b, nodes)
			for at := 0; b.Loop(); at++ {
				w.offer(names[at%nodes], "fast", "fast 900")
			}
		})
	}
}
