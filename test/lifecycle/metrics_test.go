package lifecycle

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/nodetest"
	"github.com/loam-storage/loam/test/prometheus"
)

// samples are what a scrape told, by name and labels.
func samples(t *testing.T, address string) map[string]float64 {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(answer.Body, 1<<20))
	for lines.Scan() {
		i := strings.LastIndexByte(lines.Text(), ' ')
		if value, err := strconv.ParseFloat(lines.Text()[i+1:], 64); err == nil && lines.Text()[0] != '#' {
			all[lines.Text()[:i]] = value
		}
	}
	if answer.StatusCode != http.StatusOK || lines.Err() != nil {
		t.Fatalf("%s, %v", answer.Status, lines.Err())
	}
	return all
}

func TestMetricsTellOfAVolumeAndItsClaim(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	var processes atomic.Int64
	address := prometheus.FreeAddress(t)
	agent := nodetest.Start(t, nodetest.Options{
		Config: nodetest.OnePool("thin", disk), Health: address, Observe: func(lvm.Command) { processes.Add(1) },
	})
	req := nodetest.Request("v", "ext4", 64*lvm.MiB)
	req.Parameters = map[string]string{"csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "db"}
	v := agent.Create(t, req)
	mounted := agent.Mount(t, v, "ext4")
	file := nodetest.File(mounted, "ext4")
	const labels = `{namespace="db",persistentvolumeclaim="data",pool="thin",volume="v"}`
	before := samples(t, address)["loam_volume_written_bytes_total"+labels]
	nodetest.Write(t, file, 4*lvm.MiB)
	started := processes.Load()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err := agent.Admin.Pools(context.Background()); err != nil { // it looks at them, or does so by itself some seconds later
			t.Fatal(err)
		}
		got := samples(t, address)
		if got["loam_volume_mapped_bytes"+labels] >= float64(4*lvm.MiB) {
			if written := got["loam_volume_written_bytes_total"+labels] - before; written < float64(4*lvm.MiB) {
				t.Errorf("%v bytes were written, want 4 MiB", written)
			}
			for name, want := range map[string]float64{
				"loam_volume_size_bytes" + labels:                                                          float64(64 * lvm.MiB),
				`loam_pool_ready{pool="thin"}`:                                                             1,
				`loam_pool_health{health="healthy",pool="thin"}`:                                           1,
				`loam_pool_volumes{kind="volume",pool="thin"}`:                                             1,
				`loam_volume_group_physical_volumes{pool="thin",state="present",volume_group="loam-thin"}`: 1,
				`loam_csi_call_duration_seconds_count{code="OK",method="CreateVolume"}`:                    1,
				`loam_lvm_command_duration_seconds_count{command="lvcreate",result="succeeded"}`:           2, // of the pool, and of the volume
			} {
				if got[name] != want {
					t.Errorf("%s is %v, want %v", name, got[name], want)
				}
			}
			wantFullness(t, got, labels, mounted)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("mapped is %v", got["loam_volume_mapped_bytes"+labels])
		}
	}
	if n := processes.Load() - started; n > 0 {
		t.Errorf("being scraped started %d lvm processes", n)
	}
	agent.Unmount(t, v)
	if n, told := samples(t, address)["loam_volume_filesystem_size_bytes"+labels]; told {
		t.Errorf("a file system that is not mounted is told to have %v bytes", n)
	}
	agent.Delete(t, v)
}

// wantFullness compares with what the kernel says of the file system.
func wantFullness(t *testing.T, got map[string]float64, labels, mounted string) {
	t.Helper()
	usage, err := filesystem.UsageOf(mounted)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"loam_volume_filesystem_size_bytes":      float64(usage.Total),
		"loam_volume_filesystem_used_bytes":      float64(usage.Used),
		"loam_volume_filesystem_available_bytes": float64(usage.Available),
		"loam_volume_filesystem_inodes":          float64(usage.Inodes),
		"loam_volume_filesystem_inodes_free":     float64(usage.InodesFree),
	} {
		if value, told := got[name+labels]; !told || value != want {
			t.Errorf("%s is %v (told: %v), want %v", name, value, told, want)
		}
	}
	if usage.Used < 4*lvm.MiB {
		t.Errorf("%v are in use, after 4 MiB were written", usage.Used)
	}
}
