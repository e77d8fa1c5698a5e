package lifecycle

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
	"github.com/loam-storage/loam/test/prometheus"
)

var capture = flag.Bool("capture", false, "write what a real Prometheus answers the dashboard to test/browser/testdata")

// load is what a claim's pod does: so many reads and writes of a block in a second, more and less of them in waves.
type load struct {
	namespace, claim string
	fs               string
	size             lvm.Bytes
	block            lvm.Bytes
	reads, writes    float64
	wave             time.Duration
	grows            bool // it writes where it has not written yet, else over the same place
}

// TestCaptureDashboard has two nodes with some load for eleven minutes, one of whose pools fills, and writes what Prometheus answers to
// each query of the dashboard. The picture in the documentation is drawn of it (test/browser).
func TestCaptureDashboard(t *testing.T) {
	if !*capture {
		t.Skip("writes testdata: make testdata")
	}
	disks := lvmtest.RequireDisks(t, 3)
	targets := map[string]string{"node-1": prometheus.FreeAddress(t), "node-2": prometheus.FreeAddress(t)}
	first := nodetest.Start(t, nodetest.Options{Health: targets["node-1"], Config: fmt.Sprintf(`pools:
- {name: fast, devices: {paths: [%s]}, thin: {overprovision: 3}}
- {name: bulk, type: thick, devices: {paths: [%s]}}
`, disks[0], disks[1])})
	second := nodetest.Start(t, nodetest.Options{Health: targets["node-2"], Config: fmt.Sprintf(
		"pools:\n- {name: fast, volumeGroup: loam-second, devices: {paths: [%s]}, thin: {overprovision: 3}}\n", disks[2])})
	p := prometheus.Start(t, prometheus.Options{Rules: prometheus.Alerts, Targets: targets})

	ctx, stop := context.WithTimeout(t.Context(), 11*time.Minute)
	defer stop()
	var pods errgroup.Group
	var used []func()
	begin := func(a nodetest.Agent, pool string, l load) {
		req := nodetest.Request("pvc-"+l.claim, l.fs, l.size)
		req.Parameters = map[string]string{"pool": pool, "csi.storage.k8s.io/pvc/name": l.claim, "csi.storage.k8s.io/pvc/namespace": l.namespace}
		v := a.Create(t, req)
		file := filepath.Join(a.Mount(t, v, l.fs), "data")
		used = append(used, func() { a.Unmount(t, v); a.Delete(t, v) })
		pods.Go(func() error { return l.run(ctx, file) })
	}
	begin(first, "fast", load{"shop", "orders-db", "ext4", lvm.GiB, 8 * lvm.KiB, 30, 20, 4 * time.Minute, false})
	begin(first, "fast", load{"shop", "search-index", "xfs", lvm.GiB, 64 * lvm.KiB, 12, 3, 7 * time.Minute, false})
	begin(first, "bulk", load{"media", "uploads", "xfs", 2 * lvm.GiB, lvm.MiB, 0.5, 0.7, 5 * time.Minute, true})
	begin(second, "fast", load{"shop", "orders-db-replica", "ext4", lvm.GiB, 8 * lvm.KiB, 6, 20, 4 * time.Minute, false})
	begin(second, "fast", load{"data", "events", "ext4", 1536 * lvm.MiB, 512 * lvm.KiB, 1, 2.4, 10 * time.Minute, true})
	pods.Go(func() error { return backups(ctx, first) })
	if err := pods.Wait(); err != nil {
		t.Error(err)
	}

	answers := map[string][]prometheus.Line{}
	for _, queries := range panels(t) {
		for _, expr := range queries {
			answers[expr] = p.QueryRange(t, expr, prometheus.Span{Step: 5 * time.Second, Steps: 121})
			for _, line := range answers[expr] {
				for _, v := range line.Values {
					if v != nil {
						*v, _ = strconv.ParseFloat(strconv.FormatFloat(*v, 'g', 4, 64), 64)
					}
				}
			}
		}
	}
	text, err := json.Marshal(answers)
	if err == nil {
		err = os.WriteFile(filepath.Join(prometheus.Repository, "test/browser/testdata/dashboard.json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
	for _, end := range used {
		end()
	}
}

// run reads and writes past the page cache until the context ends.
func (l load) run(ctx context.Context, file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|unix.O_DIRECT, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	const window = 32 * lvm.MiB // what is read, and written over
	buffer := aligned(int(max(l.block, lvm.MiB)))
	for at := lvm.Bytes(0); at < window; at += lvm.MiB {
		if _, err := f.WriteAt(buffer[:lvm.MiB], int64(at)); err != nil {
			return err
		}
	}
	started, end := time.Now(), window
	every := func(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }
	next := map[bool]time.Time{true: started, false: started}
	for ctx.Err() == nil {
		writes := !next[true].After(next[false])
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next[writes])):
		}
		wave := 1 + 0.6*math.Sin(2*math.Pi*float64(time.Since(started))/float64(l.wave)) + 0.2*rand.Float64()
		at := lvm.Bytes(rand.Int64N(int64(window/l.block))) * l.block
		if writes {
			if l.grows {
				at, end = end, end+l.block
			}
			_, err = f.WriteAt(buffer[:l.block], int64(at))
			next[true] = time.Now().Add(every(l.writes * wave))
		} else {
			_, err = f.ReadAt(buffer[:l.block], int64(at))
			next[false] = time.Now().Add(every(l.reads * wave))
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", l.namespace, l.claim, err)
		}
	}
	return nil
}

// aligned is memory that direct IO takes.
func aligned(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// backups takes a snapshot each half minute and deletes the one before, and asks for too much now and then, as people do.
func backups(ctx context.Context, a nodetest.Agent) error {
	var last string
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(30 * time.Second):
		}
		made, err := a.Controller().CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: fmt.Sprintf("snapshot-%d", i), SourceVolumeId: nodetest.NodeID + "/pvc-orders-db"})
		if err == nil && last != "" {
			_, err = a.Controller().DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: last})
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		last = made.GetSnapshot().GetSnapshotId()
		if i%4 == 2 {
			req := nodetest.Request("pvc-too-large", "ext4", lvm.TiB)
			req.Parameters = map[string]string{"pool": "bulk"}
			if _, err := a.Controller().CreateVolume(ctx, req); err == nil {
				return fmt.Errorf("a volume of %v was made", lvm.TiB)
			}
		}
	}
}
