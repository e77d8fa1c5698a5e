package bench

import (
	"strconv"
	"strings"
	"time"
)

// arguments are fio's for one run. The warm-up is a job of its own, and not fio's ramp_time: of that nobody learns how much it moved. log is
// where the file begins that gets each second's operations.
func (f Fio) arguments(s Spec, log string) []string {
	whole := s.Size / s.Job.BlockSize * s.Job.BlockSize // fio writes a last block over the end
	args := []string{
		"--output-format=json+", "--eta=never", "--disk_util=0", "--lat_percentiles=1", "--clat_percentiles=0",
		"--thread", // one process, which ends as a whole
		"--filename=" + fioPath(s.Path), "--allow_file_create=0", "--size=" + strconv.FormatInt(int64(whole), 10),
		"--rw=" + string(s.Job.Pattern), "--bs=" + strconv.FormatInt(int64(s.Job.BlockSize), 10), "--iodepth=" + strconv.Itoa(s.Job.Depth),
	}
	if s.Offset > 0 {
		args = append(args, "--offset="+strconv.FormatInt(int64(s.Offset), 10))
	}
	if s.Job.Pattern == RandRW {
		args = append(args, "--rwmixread="+strconv.Itoa(s.Job.ReadPercent))
	}
	if !s.Job.Writes() {
		args = append(args, "--readonly")
	}
	if s.Job.Sync {
		args = append(args, "--ioengine=psync", "--direct=0", "--fdatasync=1")
	} else {
		// Two clocks are stopped that nobody reads and that cost processor time. Without clat there is no latency of a flush.
		args = append(args, "--ioengine="+f.library, "--direct=1", "--disable_slat=1", "--disable_clat=1")
	}
	if !s.Once {
		args = append(args, "--time_based", "--norandommap")
	}
	// The two must not come to the same blocks in the same order, or measuring would find them warm.
	if s.WarmUp > 0 {
		args = append(args, "--name=warm-up", "--runtime="+microseconds(s.WarmUp), "--randseed="+seed(2*s.Seed))
	}
	args = append(args, "--name=measured", "--stonewall", "--randseed="+seed(2*s.Seed+1),
		"--write_iops_log="+log, "--log_avg_msec=1000", "--per_job_logs=0")
	if s.Runtime > 0 {
		args = append(args, "--runtime="+microseconds(s.Runtime))
	}
	return args
}

// fioPath escapes what separates files in fio's filename.
func fioPath(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(path)
}

func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) + "us" }

func seed(n int64) string { return strconv.FormatUint(uint64(n)&(1<<63-1), 10) }
