package bench

import (
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Pattern is how a Job reaches for its blocks, by fio's name for it (fio(1), readwrite).
type Pattern string

// The patterns that jobs have.
const (
	Read      Pattern = "read"      // one block after the other
	Write     Pattern = "write"     // likewise
	RandRead  Pattern = "randread"  // blocks in random order, aligned to the block's size
	RandWrite Pattern = "randwrite" // likewise
	RandRW    Pattern = "randrw"    // reads and writes mixed, ReadPercent of them reads
)

// Job is one way of reading and writing. The zero value of an option is none of it.
type Job struct {
	Name        string    `json:"name"` // unique in its profile: seq-read, rand-write-32, …
	Pattern     Pattern   `json:"pattern"`
	BlockSize   lvm.Bytes `json:"blockSize"` // in bytes. Direct I/O wants a multiple of the device's logical block
	Depth       int       `json:"depth"`     // requests in flight; at least 1
	ReadPercent int       `json:"readPercent,omitempty"`
	// Sync makes an fdatasync(2) after each write and measures it in Measurement.Sync. Writes then go through the page cache, as a
	// database's log does, with blocks of any size: etcd's are of 2,300 bytes.
	Sync bool `json:"sync,omitempty"`
}

// Writes says whether the job changes what is on its target.
func (j Job) Writes() bool { return j.Pattern != Read && j.Pattern != RandRead }

// random says whether the job's blocks are in random order.
func (j Job) random() bool { return j.Pattern != Read && j.Pattern != Write }

// Profile is what is measured, and how thoroughly.
type Profile struct {
	Name        string        `json:"name"` // quick, full, database, etcd, or a file's path
	Jobs        []Job         `json:"jobs"`
	Size        lvm.Bytes     `json:"size"`        // of the file, or of the part of a device, that is read and written
	WarmUp      time.Duration `json:"warmUp"`      // before each repetition, not measured
	Runtime     time.Duration `json:"runtime"`     // of each repetition
	Repetitions int           `json:"repetitions"` // of each job; the order of the jobs is reversed in every second one
	// Steady goes on, after Repetitions, until the last five agree as SNIA's Performance Test Specification wants, for at most
	// MaxRounds; a job that never does is labelled not steady.
	Steady    bool `json:"steady,omitempty"`
	MaxRounds int  `json:"maxRounds,omitempty"`
}
