package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"
	"unsafe"

	"github.com/loam-storage/loam/lvm"
	"golang.org/x/sys/unix"
)

// Direct is the built-in Engine: O_DIRECT and Linux's asynchronous I/O from one thread, as fio's libaio does it. It is for machines
// that have no fio. The zero value is ready.
type Direct struct{}

// Name is "built-in".
func (Direct) Name() string { return "built-in" }

// ErrNoDirect says that the file system does no direct I/O (open(2), O_DIRECT), so that memory would be measured.
var ErrNoDirect = errors.New("no direct I/O")

// Run implements Engine.
func (Direct) Run(ctx context.Context, s Spec) (Measurement, error) {
	if err := s.check(); err != nil {
		return Measurement{}, err
	}
	runtime.LockOSThread() // its processor time is counted
	defer runtime.UnlockOSThread()
	if s.Job.Sync {
		return runSynced(ctx, s)
	}
	f, err := s.open(unix.O_DIRECT)
	if err != nil {
		return Measurement{}, err
	}
	defer f.Close()
	w, err := newWorker(f, s)
	if err != nil {
		return Measurement{}, err
	}
	defer w.close()
	err = w.run(ctx)
	return w.recorder.finish(), err
}

func (s Spec) check() error {
	switch {
	case s.Job.BlockSize <= 0 || s.Size < s.Job.BlockSize:
		return fmt.Errorf("job %s: blocks of %v in %v: expected a block size above 0, and room for a block", s.Job.Name, s.Job.BlockSize, s.Size)
	case s.Job.Depth < 1 || s.Job.Depth > 1024:
		return fmt.Errorf("job %s: depth %d: expected 1 to 1024", s.Job.Name, s.Job.Depth)
	case s.Job.Sync && !s.Job.Writes():
		return fmt.Errorf("job %s: sync with pattern %s: expected one that writes", s.Job.Name, s.Job.Pattern)
	case s.Runtime <= 0 && !s.Once:
		return fmt.Errorf("job %s: a runtime of %v: expected more than 0", s.Job.Name, s.Runtime)
	}
	return nil
}

func (s Spec) open(flags int) (*os.File, error) {
	mode := os.O_RDONLY
	if s.Job.Writes() {
		mode = os.O_RDWR
	}
	f, err := os.OpenFile(s.Path, mode|flags, 0)
	if errors.Is(err, unix.EINVAL) && flags&unix.O_DIRECT != 0 {
		return nil, fmt.Errorf("%s: the file system refuses O_DIRECT: %w", s.Path, ErrNoDirect)
	}
	return f, err
}

// worker keeps a job's requests in flight.
type worker struct {
	ring     *ring
	memory   []byte
	requests []request
	blocks   *blocks
	random   *rand.PCG
	recorder *recorder
	spec     Spec
	flying   int
	start    time.Time
}

type request struct {
	iocb  iocb
	block []byte
	began time.Time
}

func newWorker(f *os.File, s Spec) (*worker, error) {
	depth := min(s.Job.Depth, int(s.Size/s.Job.BlockSize))
	// The kernel's pages are aligned enough for every device.
	memory, err := unix.Mmap(-1, 0, depth*int(s.Job.BlockSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("memory for %d blocks of %v: %w", depth, s.Job.BlockSize, err)
	}
	ring, err := newRing(depth)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(memory))
	}
	w := &worker{ring: ring, memory: memory, requests: make([]request, depth), blocks: newBlocks(s), spec: s,
		random: rand.NewPCG(uint64(s.Seed), 1), recorder: newRecorder(s), start: time.Now()}
	size := int(s.Job.BlockSize)
	for i := range w.requests {
		r := &w.requests[i]
		r.block = memory[i*size : (i+1)*size]
		w.fill(r.block)
		r.iocb = iocb{data: uint64(i), fd: uint32(f.Fd()), bytes: uint64(size), buffer: uint64(uintptr(unsafe.Pointer(&r.block[0])))}
	}
	return w, nil
}

func (w *worker) close() {
	w.ring.close()
	_ = unix.Munmap(w.memory)
}

// now is the time by one reading of the monotonic clock; time.Now reads two, which in some virtual machines are calls of the kernel.
func (w *worker) now() time.Time { return w.start.Add(time.Since(w.start)) }

// run keeps every request in flight until the job's time is over, and then waits for those that are.
func (w *worker) run(ctx context.Context) error {
	w.recorder.begin()
	now := w.now()
	for i := range w.requests {
		w.prepare(&w.requests[i], now)
	}
	for {
		if err := w.ring.submit(); err != nil {
			return err
		}
		if w.flying == 0 {
			return ctx.Err()
		}
		events, err := w.ring.wait(ctx)
		if err != nil {
			return err
		}
		now := w.now()
		over := ctx.Err() != nil || w.recorder.over(now)
		for _, e := range events {
			r := &w.requests[e.data]
			w.flying--
			if e.result != int64(w.spec.Job.BlockSize) {
				return w.failed(r, e.result)
			}
			w.recorder.done(now, now.Sub(r.began), r.iocb.opcode == opWrite)
			if !over {
				w.prepare(r, now)
			}
		}
	}
}

func (w *worker) failed(r *request, result int64) error {
	what := "reading"
	if r.iocb.opcode == opWrite {
		what = "writing"
	}
	where := fmt.Sprintf("%s %v at byte %d of %s", what, w.spec.Job.BlockSize, r.iocb.offset, w.spec.Path)
	switch errno := unix.Errno(max(-result, 0)); {
	case errno == unix.EINVAL:
		return fmt.Errorf("%s: %w; are blocks of %v a multiple of the device's logical block?", where, errno, w.spec.Job.BlockSize)
	case errno != 0:
		return fmt.Errorf("%s: %w", where, errno)
	}
	return fmt.Errorf("%s: only %d bytes", where, result)
}

// prepare puts the next request into the batch, if there is one; the batch is submitted at once.
func (w *worker) prepare(r *request, now time.Time) {
	offset, ok := w.blocks.next()
	if !ok {
		return
	}
	r.iocb.opcode, r.iocb.offset = opRead, int64(w.spec.Offset)+offset
	if w.blocks.writes() {
		r.iocb.opcode = opWrite
		w.freshen(r.block)
	}
	w.flying++
	w.ring.batch = append(w.ring.batch, &r.iocb)
	r.began = now
}

// fill makes a block that does not compress.
func (w *worker) fill(block []byte) {
	for i := 0; i+8 <= len(block); i += 8 {
		*(*uint64)(unsafe.Pointer(&block[i])) = w.random.Uint64()
	}
}

// freshen makes a block unlike every earlier one, by a word in each 512 bytes: a device that keeps one copy of equal blocks
// shall find none, and filling them anew would be measured, too.
func (w *worker) freshen(block []byte) {
	for i := 0; i+8 <= len(block); i += int(lvm.Sector) {
		*(*uint64)(unsafe.Pointer(&block[i])) = w.random.Uint64()
	}
}
