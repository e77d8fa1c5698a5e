package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// recorder makes a Measurement of what completes. What completes before the warm-up is over, or after the runtime, is counted in
// Measurement.All alone.
type recorder struct {
	spec     Spec
	measured Measurement
	from     time.Time // the end of the warm-up
	until    time.Time // zero: when every block was reached
	last     time.Time // when something completed that was measured
	cpu      CPU       // when measuring began
	warm     bool
}

func newRecorder(s Spec) *recorder { return &recorder{spec: s} }

// begin starts the clock.
func (r *recorder) begin() {
	now := time.Now()
	r.from = now.Add(r.spec.WarmUp)
	if r.spec.Runtime > 0 {
		r.until = r.from.Add(r.spec.Runtime)
	}
	r.measured.Start, r.last = r.from, r.from
	if r.spec.WarmUp == 0 {
		r.warmed()
	}
}

func (r *recorder) warmed() { r.warm, r.cpu = true, threadCPU() }

// over says whether the job's time is.
func (r *recorder) over(now time.Time) bool { return !r.until.IsZero() && !now.Before(r.until) }

// done counts a block that was read or written.
func (r *recorder) done(now time.Time, took time.Duration, written bool) {
	size := r.spec.Job.BlockSize
	r.measured.All += size
	second := r.second(now)
	if second == nil {
		return
	}
	direction := &r.measured.Read
	if written {
		direction = &r.measured.Write
		second.Written += size
	} else {
		second.Read += size
	}
	direction.Operations++
	direction.Bytes += size
	direction.Latency.Record(took)
	if !r.spec.Job.Sync {
		second.Operations++
	}
}

// flushed counts an fdatasync.
func (r *recorder) flushed(now time.Time, took time.Duration) {
	second := r.second(now)
	if second == nil {
		return
	}
	r.measured.Sync.Operations++
	r.measured.Sync.Latency.Record(took)
	second.Operations++
}

// second is the one that now belongs to; nil outside the measured time.
func (r *recorder) second(now time.Time) *Second {
	if now.Before(r.from) || r.over(now) {
		return nil
	}
	if !r.warm {
		r.warmed()
	}
	r.last = now
	n := int(now.Sub(r.from) / time.Second)
	for len(r.measured.Series) <= n {
		r.measured.Series = append(r.measured.Series, Second{})
	}
	return &r.measured.Series[n]
}

// finish is what was measured.
func (r *recorder) finish() Measurement {
	r.measured.Elapsed = r.last.Sub(r.from)
	if r.warm {
		now := threadCPU()
		r.measured.CPU = CPU{User: now.User - r.cpu.User, System: now.System - r.cpu.System}
	}
	return r.measured
}

// threadCPU is the processor time of the calling thread (getrusage(2)).
func threadCPU() CPU {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return CPU{}
	}
	return CPU{User: time.Duration(u.Utime.Nano()), System: time.Duration(u.Stime.Nano())}
}
