package figures

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/nodetest"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/test/prometheus"
)

// TestManyVolumesFigures prints what an agent takes to start after a reboot, when idle, and to be scraped, at 500 volumes.
func TestManyVolumesFigures(t *testing.T) {
	const n = 500
	disk := lvmtest.RequireDisks(t, 1)[0]
	o := nodetest.Options{
		Config: nodetest.OnePool("thin", disk) + "  thin: {overprovision: 100}\n", Dir: t.TempDir(), Health: prometheus.FreeAddress(t),
	}
	agent := nodetest.Start(t, o)
	agent.Create(t, nodetest.Request("v00000", "", 64*lvm.MiB))
	agent.Stop()
	nodetest.Deactivate(t, disk, "loam-thin")
	lvmtest.Multiply(t, disk, "loam-thin", pool.LogicalVolume, n)
	var processes atomic.Int64
	o.Observe = func(lvm.Command) { processes.Add(1) }
	started := time.Now()
	agent = nodetest.Start(t, o)
	took := time.Since(started)
	fmt.Printf("\nagent that starts after a reboot, at %d volumes\n  %v until all are active and it answers, with %d lvm processes\n", n, round(took), processes.Load())
	before, cpu := forks(t), cpuTime(t)
	time.Sleep(30 * time.Second)
	fmt.Printf("idle agent at %d volumes, 30 s\n  %d processes and threads started on the whole machine\n  %.1f milli-cores\n",
		n, forks(t)-before, float64(cpuTime(t)-cpu)/float64(30*time.Second)*1000)
	for range 5 {
		began := time.Now()
		answer, err := http.Get("http://" + o.Health + metric.Path)
		check(t, err)
		size, err := io.Copy(io.Discard, answer.Body)
		check(t, err)
		check(t, answer.Body.Close())
		fmt.Printf("scrape at %d volumes\n  %v, %d KiB\n", n, round(time.Since(began)), size/1024)
	}
	agent.Stop()
	run(t, "lvm", "vgremove", "--devices", disk, "--yes", "--force", "-qq", "loam-thin")
}

// cpuTime is what this process took so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}
