package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestFioIsGivenTheJobAsArguments(t *testing.T) {
	common := []string{"--output-format=json+", "--eta=never", "--disk_util=0", "--lat_percentiles=1", "--clat_percentiles=0", "--thread"}
	for name, c := range map[string]struct {
		spec Spec
		want []string
	}{
		"mixed, after a warm-up": {
			Spec{Job: Job{Name: "m", Pattern: RandRW, BlockSize: 4 * lvm.KiB, Depth: 32, ReadPercent: 70}, Path: "/mnt/a:b/f", Size: lvm.MiB, WarmUp: 500 * time.Millisecond, Runtime: 2 * time.Second, Seed: 3},
			[]string{`--filename=/mnt/a\:b/f`, "--allow_file_create=0", "--size=1048576", "--rw=randrw", "--bs=4096", "--iodepth=32", "--rwmixread=70",
				"--ioengine=libaio", "--direct=1", "--disable_slat=1", "--disable_clat=1", "--time_based", "--norandommap", "--name=warm-up", "--runtime=500000us", "--randseed=6",
				"--name=measured", "--stonewall", "--randseed=7", "--write_iops_log=/tmp/log", "--log_avg_msec=1000", "--per_job_logs=0", "--runtime=2000000us"},
		},
		"a log": {
			Spec{Job: etcdLog(), Path: "/mnt/f", Size: lvm.MiB, Runtime: time.Second},
			[]string{"--filename=/mnt/f", "--allow_file_create=0", "--size=1046500", "--rw=write", "--bs=2300", "--iodepth=1", "--ioengine=psync", "--direct=0",
				"--fdatasync=1", "--time_based", "--norandommap",
				"--name=measured", "--stonewall", "--randseed=1", "--write_iops_log=/tmp/log", "--log_avg_msec=1000", "--per_job_logs=0", "--runtime=1000000us"},
		},
		"every block once, only read": {
			Spec{Job: Job{Name: "r", Pattern: RandRead, BlockSize: 4 * lvm.KiB, Depth: 8}, Path: "/dev/sdb", Size: lvm.MiB, Once: true},
			[]string{"--filename=/dev/sdb", "--allow_file_create=0", "--size=1048576", "--rw=randread", "--bs=4096", "--iodepth=8", "--readonly", "--ioengine=libaio",
				"--direct=1", "--disable_slat=1", "--disable_clat=1", "--name=measured", "--stonewall", "--randseed=1", "--write_iops_log=/tmp/log", "--log_avg_msec=1000", "--per_job_logs=0"},
		},
	} {
		if got := (Fio{library: libaio}).arguments(c.spec, "/tmp/log"); !slices.Equal(got, append(common, c.want...)) {
			t.Errorf("%s: fio is given\n%q, want\n%q", name, got, append(common, c.want...))
		}
	}
}

func TestFioOlderThan333IsRefused(t *testing.T) {
	for printed, want := range map[string]string{
		"fio-3.33\n": "3.33", "fio-3.36-29-g5f4c\n": "3.36-29-g5f4c", "fio-4.0": "4.0", "fio-3.100": "3.100",
		"fio-3.32\n": "", "fio-2.99": "", "fio-3": "", "": "", "3.36": "", "fio-3.36; rm": "",
	} {
		got, err := fioVersion(printed)
		if got != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrNoFio) {
			t.Errorf("%q is version %q, %v; want %q", printed, got, err, want)
		}
	}
	if _, err := fioVersion("fio-3.16"); err == nil || !strings.Contains(err.Error(), "it is version 3.16: expected 3.33 or a later one") {
		t.Errorf("fio 3.16: %v", err)
	}
}

// fio's testdata is what fio 3.33 printed in the guest (see TestCaptureFio).
func read(t *testing.T, name string, j Job) (string, Measurement, error) {
	t.Helper()
	printed, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join("testdata", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return readFio(printed, log, Spec{Job: j})
}

func TestFiosOutputBecomesAMeasurement(t *testing.T) {
	for name, s := range scenarios("/dev/x", "/dev/y") {
		t.Run(name, func(t *testing.T) {
			words, m, err := read(t, name, s.Job)
			if err != nil {
				t.Fatal(err)
			}
			if m.Elapsed < s.Runtime && name != "failed" && name != "interrupted" {
				t.Errorf("measured for %v of %v", m.Elapsed, s.Runtime)
			}
			consistent(t, s.Job, m)
			if name == "failed" != strings.Contains(words, "Input/output error") {
				t.Errorf("beside its JSON fio printed %q", words)
			}
			if p := m.Write.Latency.Percentile(50); p < time.Microsecond || p > time.Second {
				t.Errorf("half of the writes took %v at most", p)
			}
		})
	}
}

// consistent checks that what a measurement says more than once is the same.
func consistent(t *testing.T, j Job, m Measurement) {
	t.Helper()
	var operations, series int64
	for _, d := range []Direction{m.Read, m.Write} {
		operations += d.Operations
		if d.Bytes != lvm.Bytes(d.Operations)*j.BlockSize || d.Latency.Count() != d.Operations {
			t.Errorf("%d operations of %v, %v, %d latencies: they differ", d.Operations, j.BlockSize, d.Bytes, d.Latency.Count())
		}
	}
	for _, second := range m.Series {
		series += second.Operations
	}
	if operations == 0 || series != operations || m.All < m.Read.Bytes+m.Write.Bytes {
		t.Errorf("%d operations, %d in the series, %v moved in all", operations, series, m.All)
	}
	if (m.Write.Operations > 0) != j.Writes() || (m.Read.Operations > 0) != (j.Pattern != Write && j.Pattern != RandWrite) {
		t.Errorf("%d reads, %d writes by pattern %s", m.Read.Operations, m.Write.Operations, j.Pattern)
	}
	// The end of its time may keep fio from the last flush.
	if j.Sync != (m.Sync.Operations > 0) || j.Sync && (m.Sync.Operations > operations || m.Sync.Operations < operations-1) {
		t.Errorf("%d flushes for %d writes", m.Sync.Operations, operations)
	}
	if m.Elapsed <= 0 || m.Start.IsZero() || m.CPU.User+m.CPU.System <= 0 {
		t.Errorf("measured from %v for %v, with processor time %+v", m.Start, m.Elapsed, m.CPU)
	}
}

func TestFiosSecondsAddUp(t *testing.T) {
	m := Measurement{Elapsed: 3 * time.Second, Read: Direction{Operations: 250}, Write: Direction{Operations: 35}}
	got, err := fioSeries("1000, 100, 0, 0, 0\n1000, 10, 1, 0, 0\n2031, 97, 0, 0, 0\n2031, 9, 1, 0, 0\n", m, Job{BlockSize: 1})
	want := []Second{{Read: 100, Written: 10, Operations: 110}, {Read: 100, Written: 9, Operations: 109}, {Read: 50, Written: 16, Operations: 66}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, log := range []string{"x", "1, 2", "-1, 2, 0", "1, -2, 0", "99999999999999, 1, 0", "1, 2, 300"} {
		if _, err := fioSeries(log, m, Job{BlockSize: 1}); err == nil {
			t.Errorf("%q is no log of fio's", log)
		}
	}
}

func TestFioThatPrintsNonsenseIsAnError(t *testing.T) {
	for printed, want := range map[string]string{
		"fio: no such engine": "no JSON: fio: no such engine",
		"":                    "no JSON",
		"{":                   "unexpected EOF",
		`{"jobs":[{"jobname":"measured","read":{"lat_ns":{"bins":{"a":1}}}}]}`:       `a latency of "a" ns`,
		`{"jobs":[{"jobname":"measured","sync":{"lat_ns":{"bins":{"1":-1}}}}]}`:      "-1 times",
		`{"jobs":[{"jobname":"measured","read":{"io_bytes":-1}}]}`:                   "-1 bytes",
		`{"jobs":[{"jobname":"measured","job_runtime":-1}]}`:                         "0 ms of -1",
		`{"timestamp_ms":1e18,"jobs":[{"jobname":"measured","read":{"runtime":1}}]}`: "fio's JSON",
		`{"jobs":[{"jobname":"measured","read":{"runtime":9223372036854775807}}]}`:   "9223372036854775807 ms",
	} {
		if _, _, err := readFio([]byte(printed), nil, Spec{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", printed, err, want)
		}
	}
}

func FuzzReadFio(f *testing.F) {
	f.Add([]byte(`fio: a warning
{"timestamp_ms":1795960918545,"jobs":[{"jobname":"measured","job_runtime":1000,"usr_cpu":1.5,"sys_cpu":20,"read":{"io_bytes":8192,"runtime":1000,"lat_ns":{"bins":{"5000":1,"9000":1}}}}]}`),
		[]byte("1000, 2, 0, 0, 0\n"))
	f.Fuzz(func(t *testing.T, printed, log []byte) {
		_, m, err := readFio(printed, log, Spec{Job: Job{BlockSize: 4096}})
		if err == nil && (m.Elapsed < 0 || m.Read.Operations < 0 || m.Write.Latency.Count() < 0 || m.All < 0) {
			t.Errorf("%+v was read", m)
		}
	})
}

// scenarios are what testdata has of fio: a whole run, one of a log, one that was interrupted, and one on a disk that fails half-way.
func scenarios(whole, failing string) map[string]Spec {
	write := Job{Name: "write", Pattern: RandWrite, BlockSize: 4 * lvm.KiB, Depth: 4}
	return map[string]Spec{
		"mixed": {Job: Job{Name: "mixed", Pattern: RandRW, BlockSize: 4 * lvm.KiB, Depth: 4, ReadPercent: 70}, Path: whole, Size: 32 * lvm.MiB,
			WarmUp: 200 * time.Millisecond, Runtime: 2500 * time.Millisecond},
		"sync":        {Job: etcdLog(), Path: whole, Size: lvm.MiB, WarmUp: 200 * time.Millisecond, Runtime: 500 * time.Millisecond},
		"interrupted": {Job: write, Path: whole, Size: 32 * lvm.MiB, Runtime: time.Minute},
		"failed":      {Job: Job{Name: "failing", Pattern: Write, BlockSize: 4 * lvm.KiB, Depth: 4}, Path: failing, Size: 32 * lvm.MiB, Runtime: time.Minute},
	}
}

var capture = flag.Bool("capture", false, "write what real fio prints to testdata")

// TestCaptureFio refreshes testdata (make testdata).
func TestCaptureFio(t *testing.T) {
	if !*capture {
		t.Skip("writes testdata: run it in the guest with -capture")
	}
	for name, s := range scenarios(lvmtest.RequireDisks(t, 1)[0], halfBroken(t)) {
		ctx, stop := context.WithCancel(t.Context())
		if name == "interrupted" {
			ctx, stop = context.WithTimeout(t.Context(), 2*time.Second)
		}
		printed, log, err := fio(t).run(ctx, s)
		stop()
		fmt.Println(name, err)
		for suffix, content := range map[string][]byte{".json": printed, ".log": log} {
			if err := os.WriteFile(filepath.Join("testdata", name+suffix), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fio is the engine; the test is skipped where there is none.
func fio(t *testing.T) Fio {
	t.Helper()
	f, err := FindFio(t.Context(), libaio)
	if err != nil && os.Getenv("LOAM_REQUIRED") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// halfBroken is a device whose second half, from 16 MiB on, cannot be read or written.
func halfBroken(t *testing.T) string {
	t.Helper()
	disk := lvmtest.RequireDisks(t, 2)[1]
	dmsetup := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("dmsetup", args...).CombinedOutput(); err != nil {
			t.Fatalf("dmsetup %q: %v: %s", args, err, out)
		}
	}
	dmsetup("create", "half-broken", "--table", fmt.Sprintf("0 32768 linear %s 0\n32768 32768 error", disk))
	t.Cleanup(func() { dmsetup("remove", "--retry", "half-broken"); dmsetup("mknodes") })
	dmsetup("mknodes") // where there is no udev
	return "/dev/mapper/half-broken"
}
