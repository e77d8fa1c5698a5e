package node

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/capacity"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// TestScrapeFigures prints what a scrape takes at 1,000 volumes, each mounted in a pod, on this machine's own kernel: a guest's takes ten to
// thirty times as long for a call. What is asked of the kernel is as on a node, but for the mounts, which are tmpfs, and one ioctl.
func TestScrapeFigures(t *testing.T) {
	const inside, volumes, scrapes = "LOAM_FIGURES_INSIDE", 1000, 25
	if os.Getenv("LOAM_FIGURES") == "" || os.Geteuid() != 0 {
		t.Skip("figures are printed by `make bench`, as root")
	}
	if os.Getenv(inside) == "" { // in a mount namespace of its own
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		fmt.Print(string(bytes.TrimSuffix(out, []byte("PASS\n"))))
		must(t, err)
		return
	}
	handler := metrics.New(manyMounted(t, volumes), "test").Handler()
	scrape := func() int {
		request := httptest.NewRequest(http.MethodGet, metric.Path, nil)
		request.Header.Set("Accept-Encoding", "gzip")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Body.Len()
	}
	scrape()
	var times, processor []time.Duration
	for range scrapes {
		began, used := time.Now(), cpuTime(t)
		scrape()
		times, processor = append(times, time.Since(began)), append(processor, cpuTime(t)-used)
	}
	slices.Sort(times)
	slices.Sort(processor)
	fmt.Printf("\nscrape at %d volumes, each mounted in a pod: %d scrapes\n  %.0f ms (fastest %.0f ms), processor %.0f ms (least %.0f ms), medians; %d KiB\n", volumes, scrapes,
		milliseconds(times[scrapes/2]), milliseconds(times[0]), milliseconds(processor[scrapes/2]), milliseconds(processor[0]), scrape()/1024)
	calls := systemCalls(t, func() { scrape() })
	names := slices.SortedFunc(maps.Keys(calls), func(a, b string) int { return calls[b] - calls[a] })
	total := 0
	for _, n := range calls {
		total += n
	}
	fmt.Printf("  %d system calls:", total)
	for _, name := range names[:min(8, len(names))] {
		fmt.Printf(" %d %s", calls[name], name)
	}
	fmt.Println()
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// cpuTime is what this process took so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyMounted is a node with a thin pool whose volumes are mounted where the kubelet does it, with cgroups and counters.
func manyMounted(t *testing.T, n int) metrics.Source {
	t.Helper()
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	const cgroups = "/sys/fs/cgroup"
	must(t, unix.Mount("tmpfs", cgroups, "tmpfs", 0, ""))
	c, err := config.Parse("test", []byte("pools:\n- {name: fast, devices: {paths: [/dev/a]}}\n"))
	must(t, err)
	vg := lvm.VolumeGroup{Name: "loam-fast", Size: 2 * lvm.TiB, ExtentSize: 4 * lvm.MiB, LVs: []lvm.LogicalVolume{{
		Name: pool.LogicalVolume, Segment: lvm.ThinPool, Size: lvm.TiB, Active: true, Mapped: lvm.GiB, MetadataSize: lvm.GiB, MetadataUsed: lvm.MiB, Tags: []string{volume.PoolTag("fast")},
	}}}
	var counters bytes.Buffer
	numbers := map[string]uint64{}
	folder := t.TempDir()
	for i := range n {
		name, uid := fmt.Sprintf("pvc-%d", i), fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
		target := filepath.Join(folder, "pods", uid, "volumes", "kubernetes.io~csi", name, "mount")
		cgroup := filepath.Join(cgroups, "kubepods", "burstable", "pod"+uid)
		must(t, os.MkdirAll(target, 0o700))
		must(t, os.MkdirAll(cgroup, 0o700))
		must(t, unix.Mount("tmpfs", target, "tmpfs", 0, "size=1m"))
		must(t, os.WriteFile(filepath.Join(cgroup, "io.pressure"), []byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n"), 0o600))
		var s unix.Stat_t
		must(t, unix.Stat(target, &s))
		numbers[name] = s.Dev
		fmt.Fprintf(&counters, "%4d %7d dm-%d 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0 0 0\n", unix.Major(s.Dev), unix.Minor(s.Dev), i)
		vg.LVs = append(vg.LVs, lvm.LogicalVolume{
			Name: name, Segment: lvm.Thin, Pool: pool.LogicalVolume, Size: lvm.GiB, Mapped: lvm.MiB, Active: true,
			Tags: volume.Record{Kind: volume.Volume, Name: name, FS: "ext4", Claim: "db/data-" + strconv.Itoa(i)}.Tags(),
		})
	}
	file := filepath.Join(folder, "diskstats")
	must(t, os.WriteFile(file, counters.Bytes(), 0o600))
	must(t, unix.Mount(file, "/proc/diskstats", "", unix.MS_BIND, ""))
	t.Cleanup(func() {
		_ = unix.Unmount("/proc/diskstats", unix.MNT_DETACH)
		mounts, _ := filepath.Glob(filepath.Join(folder, "pods", "*", "volumes", "*", "*", "mount"))
		for _, target := range mounts {
			_ = unix.Unmount(target, unix.MNT_DETACH)
		}
	})
	log := slog.New(slog.DiscardHandler)
	pools := pool.New(lvmtest.NewFake(nil), log)
	source := measured(pools, monitor.New(pools, log, nil), &capacity.Publisher{}, nil)
	source.Pools = func() []config.Pool { return c.Pools }
	source.Last = func() (lvm.Report, time.Time) { return lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg}}, time.Now() }
	source.Numbers = func() (metrics.Numbers, error) {
		return func(_, name string) (major, minor uint32, ok bool) {
			number, ok := numbers[name]
			return unix.Major(number), unix.Minor(number), ok
		}, nil
	}
	return source
}

// counted is a line of strace's summary, of calls and a name.
var counted = regexp.MustCompile(`(?m)^\s*(\d+)\s+(\w+)$`)

// systemCalls counts those of this process, with strace.
func systemCalls(t *testing.T, during func()) map[string]int {
	t.Helper()
	file := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", "-f", "-c", "-U", "calls,name", "-o", file, "-p", strconv.Itoa(os.Getpid()))
	said, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	attached := make([]byte, 256)
	if n, err := said.Read(attached); err != nil || !bytes.Contains(attached[:n], []byte("attached")) {
		t.Fatalf("strace: %s, %v", attached[:n], err)
	}
	during()
	must(t, cmd.Process.Signal(os.Interrupt))
	_, err = io.Copy(io.Discard, said)
	must(t, err)
	_ = cmd.Wait() // it ends by the signal
	text, err := os.ReadFile(file)
	must(t, err)
	calls := map[string]int{}
	for _, m := range counted.FindAllStringSubmatch(string(text), -1) {
		if m[2] != "total" {
			calls[m[2]], err = strconv.Atoi(m[1])
			must(t, err)
		}
	}
	if len(calls) == 0 {
		t.Fatalf("strace: %s", text)
	}
	return calls
}
