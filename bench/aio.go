package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is the kernel's queue of asynchronous I/O (io_submit(2)). It belongs to one goroutine.
type ring struct {
	context uintptr
	events  []ioEvent
	batch   []*iocb
}

// iocb is struct iocb, and ioEvent struct io_event, of linux/aio_abi.h on a little-endian machine.
type iocb struct {
	data   uint64
	_      [2]uint32 // aio_key, aio_rw_flags
	opcode uint16
	_      int16 // aio_reqprio
	fd     uint32
	buffer uint64
	bytes  uint64
	offset int64
	_      uint64    // aio_reserved2
	_      [2]uint32 // aio_flags, aio_resfd
}

type ioEvent struct {
	data, object uint64
	result       int64 // bytes, or -errno
	result2      int64
}

// The two operations of linux/aio_abi.h that are needed.
const (
	opRead  = 0 // IOCB_CMD_PREAD
	opWrite = 1 // IOCB_CMD_PWRITE
)

// Its calls are raw: the runtime learns of each other one, and takes the processor away from a thread that waits for some 20 µs, which
// is most of what a request of a fast disk takes. So they must not take long; patience is how often a wait for completions looks
// whether it should go on, and how long a garbage collection may have to wait for it.
const patience = 100 * time.Millisecond

func newRing(depth int) (*ring, error) {
	r := &ring{events: make([]ioEvent, 1)}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, uintptr(depth), uintptr(unsafe.Pointer(&r.context)), 0); errno != 0 {
		return nil, fmt.Errorf("io_setup for %d requests (/proc/sys/fs/aio-max-nr bounds them): %w", depth, errno)
	}
	return r, nil
}

// close waits for what is in flight (io_destroy(2)).
func (r *ring) close() {
	_, _, _ = unix.Syscall(unix.SYS_IO_DESTROY, r.context, 0, 0)
}

// submit hands the requests in r.batch over and empties it.
func (r *ring) submit() error {
	for len(r.batch) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_IO_SUBMIT, r.context, uintptr(len(r.batch)), uintptr(unsafe.Pointer(&r.batch[0])))
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			continue
		case errno != 0:
			return fmt.Errorf("io_submit: %w", errno)
		}
		r.batch = r.batch[:copy(r.batch, r.batch[n:])]
	}
	return nil
}

// wait gives one completion, as fio takes them, or none when ctx has ended. Whoever takes all that there are submits as many at once, and lets
// the disk run dry meanwhile: at depth 32 that was 0.6 to 0.8 of fio.
func (r *ring) wait(ctx context.Context) ([]ioEvent, error) {
	for {
		timeout := unix.NsecToTimespec(int64(patience))
		n, _, errno := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, r.context, 1, uintptr(len(r.events)),
			uintptr(unsafe.Pointer(&r.events[0])), uintptr(unsafe.Pointer(&timeout)), 0)
		switch {
		case errno != 0 && !errors.Is(errno, unix.EINTR):
			return nil, fmt.Errorf("io_getevents: %w", errno)
		case errno == 0 && n > 0:
			return r.events[:n], nil
		case ctx.Err() != nil:
			return nil, nil //nolint:nilerr // told to stop
		}
	}
}
