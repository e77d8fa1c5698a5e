package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// runSynced writes a block and makes it durable, and does that again, as a database does with its log.
func runSynced(ctx context.Context, s Spec) (_ Measurement, err error) {
	f, err := s.open(0)
	if err != nil {
		return Measurement{}, err
	}
	defer f.Close()
	w := worker{spec: s, blocks: newBlocks(s), random: rand.NewPCG(uint64(s.Seed), 1), recorder: newRecorder(s)}
	padded := make([]uint64, s.Job.BlockSize/8+1)
	block := unsafe.Slice((*byte)(unsafe.Pointer(&padded[0])), len(padded)*8)
	w.fill(block)
	block = block[:s.Job.BlockSize]
	w.recorder.begin()
	for ctx.Err() == nil {
		offset, ok := w.blocks.next()
		if !ok {
			break
		}
		w.freshen(block)
		began := time.Now()
		if _, err = f.WriteAt(block, int64(s.Offset)+offset); err != nil {
			break
		}
		written := time.Now()
		if err = unix.Fdatasync(int(f.Fd())); err != nil {
			err = fmt.Errorf("fdatasync of %s: %w", s.Path, err)
			break
		}
		now := time.Now()
		w.recorder.done(now, written.Sub(began), true)
		w.recorder.flushed(now, now.Sub(written))
		if w.recorder.over(now) {
			break
		}
	}
	return w.recorder.finish(), errors.Join(err, ctx.Err())
}
