package metrics

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/procfs/blockdevice"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/volume"
)

// sourceOf is a node with one thin pool and volumes.
func sourceOf(t testing.TB, volumes int) Source {
	t.Helper()
	c, err := config.Parse("test", []byte("pools:\n- {name: fast, type: thin, devices: {paths: [/dev/a]}, thin: {overprovision: 2}}\n- {name: slow, type: thick, devices: {paths: [/dev/b]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	vg := lvm.VolumeGroup{
		Name: "loam-fast", Size: 100 * lvm.GiB, Free: 4 * lvm.GiB, ExtentSize: 4 * lvm.MiB, Seqno: 7, MetadataSize: 16 * lvm.MiB, MetadataFree: 8 * lvm.MiB,
		PVs: []lvm.PhysicalVolume{{Device: "/dev/a"}, {Missing: true, Silent: true}}, MissingPVs: 1,
		LVs: []lvm.LogicalVolume{{
			Name: "pool", Segment: lvm.ThinPool, Size: 90 * lvm.GiB, Active: true, Mapped: lvm.GiB, MetadataSize: lvm.GiB, MetadataUsed: lvm.MiB,
			Tags: []string{volume.PoolTag("fast")},
		}},
	}
	for i := range volumes {
		name := fmt.Sprintf("pvc-%d", i)
		vg.LVs = append(vg.LVs, lvm.LogicalVolume{
			Name: name, Segment: lvm.Thin, Pool: "pool", Size: lvm.GiB, Mapped: lvm.MiB, Active: true, Suspended: i == 0,
			Tags: volume.Record{Kind: volume.Volume, Name: name, FS: "ext4", Claim: fmt.Sprintf("db/data-%d", i)}.Tags(),
		})
	}
	at := time.UnixMilli(1_700_000_000_500)
	return Source{
		Pools: func() []config.Pool { return c.Pools },
		Last: func() (lvm.Report, time.Time) {
			return lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg}}, at
		},
		Problem: func(pool string) string {
			if pool == "slow" {
				return "no disk"
			}
			return ""
		},
		Conditions:  func() []Condition { return []Condition{{"fast", "DeviceSilent", at}} },
		Healed:      func(string) int { return 3 },
		Numbers:     func() (Numbers, error) { return nil, errors.New("no device-mapper") },
		Disks:       func() ([]blockdevice.Diskstats, error) { return nil, nil },
		FileSystems: func(func(major, minor uint32) bool) ([]FileSystem, error) { return nil, nil },
		Pressure:    func() (Pressure, error) { return Pressure{Waiting: 3 * time.Second, Stalled: time.Second}, nil },
		Published:   func() time.Time { return at },
	}
}

func TestPoolsAndVolumesAreTold(t *testing.T) {
	const want = `
# HELP loam_capacity_published_timestamp_seconds When the API server last had all that it should have of the node's room, in seconds since 1970. At first, when the agent began.
# TYPE loam_capacity_published_timestamp_seconds gauge
loam_capacity_published_timestamp_seconds 1.7000000005e+09
# HELP loam_pool_condition 1 for each condition that a person should know of.
# TYPE loam_pool_condition gauge
loam_pool_condition{condition="DeviceSilent",pool="fast"} 1
# HELP loam_pool_heals_total What was mended after interrupted commands, since the agent started.
# TYPE loam_pool_heals_total counter
loam_pool_heals_total{pool="fast"} 3
loam_pool_heals_total{pool="slow"} 3
# HELP loam_pool_health 1 for the health of a thin pool as the kernel has it, such as healthy, read-only or needs-check.
# TYPE loam_pool_health gauge
loam_pool_health{health="healthy",pool="fast"} 1
# HELP loam_pool_promised_bytes What the volumes that exist may come to use.
# TYPE loam_pool_promised_bytes gauge
loam_pool_promised_bytes{pool="fast"} 2.147483648e+09
# HELP loam_pool_ready Whether the pool is up: 1 or 0.
# TYPE loam_pool_ready gauge
loam_pool_ready{pool="fast"} 1
loam_pool_ready{pool="slow"} 0
# HELP loam_pool_suspended_devices Devices that are suspended: whoever uses them waits.
# TYPE loam_pool_suspended_devices gauge
loam_pool_suspended_devices{pool="fast"} 1
# HELP loam_pools_observed_timestamp_seconds When the agent last looked at its pools, in seconds since 1970.
# TYPE loam_pools_observed_timestamp_seconds gauge
loam_pools_observed_timestamp_seconds 1.7000000005e+09
# HELP loam_volume_group_physical_volumes Physical volumes by state: present, missing, or silent, which are there and do not answer.
# TYPE loam_volume_group_physical_volumes gauge
loam_volume_group_physical_volumes{pool="fast",state="missing",volume_group="loam-fast"} 0
loam_volume_group_physical_volumes{pool="fast",state="present",volume_group="loam-fast"} 1
loam_volume_group_physical_volumes{pool="fast",state="silent",volume_group="loam-fast"} 1
# HELP loam_volume_mapped_bytes What a thin volume has allocated in its pool.
# TYPE loam_volume_mapped_bytes gauge
loam_volume_mapped_bytes{namespace="db",persistentvolumeclaim="data-0",pool="fast",volume="pvc-0"} 1.048576e+06
loam_volume_mapped_bytes{namespace="db",persistentvolumeclaim="data-1",pool="fast",volume="pvc-1"} 1.048576e+06
`
	var names []string
	for line := range strings.Lines(want) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	if err := testutil.CollectAndCompare(collector{sourceOf(t, 2)}, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestNothingIsToldBeforeTheFirstLook(t *testing.T) {
	s := sourceOf(t, 2)
	s.Last = func() (report lvm.Report, at time.Time) { return report, at }
	s.Published = func() (at time.Time) { return at }
	if n := testutil.CollectAndCount(collector{s}, observed.Name, published.Name, volumeSize.Name, poolSize.Name); n != 0 {
		t.Errorf("%d metrics of pools that nobody has looked at", n)
	}
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.CollectAndLint(collector{sourceOf(t, 1)})
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestCallsAndCommandsAreCounted(t *testing.T) {
	m := New(sourceOf(t, 1), "1.2")
	m.Command(lvm.Command{Args: []string{"lvcreate", "x"}, Duration: 30 * time.Millisecond})
	m.Command(lvm.Command{Args: []string{"lvcreate"}, Err: errors.New("full")})
	m.Call("CreateVolume", codes.OK, time.Second)
	m.Turn(time.Millisecond)
	m.Wrote(nil)
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, metric.Path, nil))
	for _, want := range []string{
		`loam_lvm_command_duration_seconds_bucket{command="lvcreate",result="succeeded",le="0.05"} 1`,
		`loam_lvm_command_duration_seconds_count{command="lvcreate",result="failed"} 1`,
		`loam_csi_call_duration_seconds_count{code="OK",method="CreateVolume"} 1`,
		`loam_volume_group_turn_wait_seconds_count 1`,
		`loam_capacity_publications_total{result="succeeded"} 1`,
		`loam_capacity_publications_total{result="failed"} 0`,
		`loam_build_info{version="1.2"} 1`,
		`go_goroutines`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("missing: %s", want)
		}
	}
}

// Series are bounded by volumes, pools, and the calls and commands that there are; what happens adds none.
func TestSeriesGrowWithVolumesAlone(t *testing.T) {
	count := func(volumes int) int {
		n, err := testutil.GatherAndCount(New(sourceOf(t, volumes), "").registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ten, twenty := count(10), count(20)
	if each := (twenty - ten) / 10; each*10 != twenty-ten || each > 20 {
		t.Errorf("ten volumes have %d series, twenty %d", ten, twenty)
	}
	m := New(sourceOf(t, 10), "")
	for i := range 1000 {
		m.Command(lvm.Command{Args: []string{"lvcreate", fmt.Sprint("--name=v", i)}})
		m.Wrote(nil)
	}
	if n, err := testutil.GatherAndCount(m.registry); err != nil || n > ten+5 {
		t.Errorf("a thousand commands and writes made %d series of %d, %v", n, ten, err)
	}
}

// BenchmarkScrape is of a thousand volumes that are mounted in a pod each, without what the kernel takes to answer.
func BenchmarkScrape(b *testing.B) {
	const volumes = 1000
	s := sourceOf(b, volumes)
	s.Numbers = func() (Numbers, error) {
		return func(_, name string) (major, minor uint32, ok bool) {
			_, err := fmt.Sscanf(name, "pvc-%d", &minor)
			return 254, minor, err == nil
		}, nil
	}
	disks, mounted := make([]blockdevice.Diskstats, volumes), make([]FileSystem, volumes)
	for i := range volumes {
		disks[i].MajorNumber, disks[i].MinorNumber = 254, uint32(i)
		mounted[i] = FileSystem{Major: 254, Minor: uint32(i), Pods: []Pod{{UID: fmt.Sprint(i)}}}
	}
	s.Disks = func() ([]blockdevice.Diskstats, error) { return disks, nil }
	s.FileSystems = func(func(major, minor uint32) bool) ([]FileSystem, error) { return mounted, nil }
	h := New(s, "").Handler()
	var answer *httptest.ResponseRecorder
	for range b.N {
		answer = httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, metric.Path, nil))
	}
	if n := strings.Count(answer.Body.String(), "\nloam_volume_"); n < 18*volumes {
		b.Errorf("only %d series of volumes were told", n)
	}
}
