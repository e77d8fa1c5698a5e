package extender

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	figureNodes  = 5000
	figureClaims = 100_000
	figurePods   = 500 // for each line of the table
)

// TestFigures prints what `loam scheduler-extender` costs beside a Kubernetes of 5,000 nodes and 100,000 claims that is none: it
// streams objects as kube-apiserver does, and hears of the nodes that are chosen.
func TestFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" {
		t.Skip("prints figures, and tests nothing: make bench")
	}
	api := newAPI()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	x := startExtender(t, server.URL)
	time.Sleep(2 * time.Second) // it gives memory back
	fmt.Printf("\nscheduler extender at %d nodes with 3 classes and %d claims\n", figureNodes, figureClaims)
	fmt.Printf("  %.1fs until it has read them (%d MB), %d MB resident, of which %d MB are its program's file\n",
		x.synced.Seconds(), api.sent.Load()>>20, x.resident(t), x.memory(t, "RssFile:"))
	fmt.Println("filter and prioritize together, over HTTP, for a pod with 3 claims, while 200 capacities a second change;")
	fmt.Println("for each pod: processor time of the extender, and of asking it and being Kubernetes beside it; memory that the extender allocates")
	fmt.Printf("  %6s  %9s  %8s  %8s  %18s  %16s  %14s\n", "nodes", "at a time", "p50", "p99", "processor", "allocated", "bytes answered")
	stop := api.publish()
	pods := 0
	for _, nodes := range []int{100, 500, 1000, 5000} {
		for _, together := range []int{1, 16} {
			l := load{x: x, api: api, first: pods, nodes: nodes, together: together}
			before := x.spent(t)
			l.run(t)
			each := x.spent(t).since(before, figurePods)
			pods += figurePods
			fmt.Printf("  %6d  %9d  %8v  %8v  %7v + %8v  %4.0f kB in %4.0f  %14d\n", nodes, together, round(l.took[figurePods/2]), round(l.took[figurePods*99/100]),
				round(each.extender), round(each.here), each.bytes/1e3, each.objects, l.answered)
		}
	}
	stop()
	fmt.Printf("  %d MB resident afterwards, at most %d MB; %.1f bytes of log for each pod\n", x.resident(t), x.peak(t), float64(x.log.Load())/float64(pods))
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// running is the program at work.
type running struct {
	address string
	health  string
	pid     int
	synced  time.Duration
	log     atomic.Int64 // bytes
}

// Write counts what it logs.
func (x *running) Write(b []byte) (int, error) {
	x.log.Add(int64(len(b)))
	return len(b), nil
}

func startExtender(t *testing.T, api string) *running {
	t.Helper()
	program, err := filepath.Abs("../bin/loam")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": %q}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]}`, api)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address, health := freeAddress(t), freeAddress(t)
	x := &running{address: address, health: health}
	cmd := exec.CommandContext(t.Context(), program, "scheduler-extender", "--kubeconfig", kubeconfig, "--address", address, "--health-address", health)
	cmd.Stderr = x
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make build)", err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	x.pid = cmd.Process.Pid
	for ready := false; !ready; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 5*time.Minute {
			t.Fatal("not ready after five minutes")
		}
		if answer, err := http.Get("http://" + health + "/readyz"); err == nil {
			ready = answer.StatusCode == http.StatusOK
			answer.Body.Close()
		}
	}
	x.synced = time.Since(begun)
	x.log.Store(0)
	return x
}

func (x *running) resident(t *testing.T) int { return x.memory(t, "VmRSS:") }
func (x *running) peak(t *testing.T) int     { return x.memory(t, "VmHWM:") }

// memory is a figure of the kernel's, in MB.
func (x *running) memory(t *testing.T, which string) (kB int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), which)
	if _, err := fmt.Sscan(after, &kB); err != nil {
		t.Fatal(err)
	}
	return kB >> 10
}

// spent is what was used so far.
type spent struct {
	extender, here time.Duration // of a processor
	bytes, objects float64       // that the extender allocated
}

func (s spent) since(before spent, pods int) spent {
	n := time.Duration(pods)
	return spent{(s.extender - before.extender) / n, (s.here - before.here) / n, (s.bytes - before.bytes) / float64(pods), (s.objects - before.objects) / float64(pods)}
}

func (x *running) spent(t *testing.T) spent {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	seconds := x.metric(t, "process_cpu_seconds_total")
	return spent{time.Duration(seconds * float64(time.Second)), time.Duration(used.Utime.Nano() + used.Stime.Nano()),
		x.metric(t, "go_memstats_alloc_bytes_total"), x.metric(t, "go_memstats_mallocs_total")}
}

// metric is one of the extender's.
func (x *running) metric(t *testing.T, name string) (value float64) {
	answer, err := http.Get("http://" + x.health + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); !found || err != nil {
		t.Fatalf("no %s: %v", name, err)
	}
	return value
}
