package bench

import (
	"context"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Engine runs jobs. The built-in one and fio are the two that there are, and their tests compare them.
type Engine interface {
	Name() string // "built-in" or "fio 3.33"
	// Run does the job once: for spec.WarmUp without measuring and for spec.Runtime measuring. When ctx ends it stops at once, ends
	// every process and request that it began, and returns what it had measured by then, with ctx's error.
	Run(ctx context.Context, spec Spec) (Measurement, error)
}

// Spec is one run of one job in one place.
type Spec struct {
	Job     Job
	Path    string    // a block device, or a file of at least Offset and Size bytes that has been written before
	Size    lvm.Bytes // of what is read and written
	Offset  lvm.Bytes // where that begins
	WarmUp  time.Duration
	Runtime time.Duration
	Seed    int64 // of the random order, so that targets are compared on the same one
	// Apart is how far apart blocks begin, where that is more than their size: one of them in each chunk of a thin volume. fio has no such order.
	Apart lvm.Bytes
	// Once ends the run when every block has been reached once, however early: the first write to a thin volume can be measured only once.
	Once bool
}

// Measurement is what one run of a job gave.
type Measurement struct {
	Start   time.Time     `json:"start"`   // of the measured part
	Elapsed time.Duration `json:"elapsed"` // of it, in nanoseconds
	Read    Direction     `json:"read"`
	Write   Direction     `json:"write"`
	Sync    Direction     `json:"sync"`          // fdatasync calls; Bytes stays 0
	CPU     CPU           `json:"cpu"`           // of the engine
	All     lvm.Bytes     `json:"all,omitempty"` // bytes moved with the warm-up's, to hold against the kernel's counters

	// Busy is the part of all processors' time that something ran, 0 to 1, and Unchecked that no counters of the kernel were there to
	// hold All against.
	Busy      float64 `json:"busy,omitempty"`
	Unchecked bool    `json:"unchecked,omitempty"`

	// Series is the bytes moved in each second of the measured part, the last one perhaps shorter than a second.
	Series []Second `json:"series,omitempty"`
}

// Direction is the reads, the writes or the flushes of a measurement.
type Direction struct {
	Operations int64     `json:"operations"`
	Bytes      lvm.Bytes `json:"bytes"`
	Latency    Histogram `json:"latency"` // from submission to completion
}

// CPU is processor time, in nanoseconds: of user space and of the kernel for the process.
type CPU struct {
	User   time.Duration `json:"user"`
	System time.Duration `json:"system"`
}

// Second is one second of a measurement.
type Second struct {
	Read       lvm.Bytes `json:"read"`
	Written    lvm.Bytes `json:"written"`
	Operations int64     `json:"operations"` // flushes, where the job makes them; reads and writes otherwise
}
