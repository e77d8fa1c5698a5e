package bench

import (
	"math/rand/v2"

	"github.com/loam-storage/loam/lvm"
)

// blocks is the order in which a job reaches for its blocks.
type blocks struct {
	spec   Spec
	apart  lvm.Bytes // from the beginning of one to that of the next
	count  int64     // how many there are
	turn   int64     // how many were given
	random *rand.Rand
	stride int64 // of the random order of Spec.Once, which leaves no block out
	start  int64
}

func newBlocks(s Spec) *blocks {
	random := rand.New(rand.NewPCG(uint64(s.Seed), 0)) //nolint:gosec // the same order for the same seed is the point
	b := &blocks{spec: s, apart: max(s.Job.BlockSize, min(s.Apart, s.Size)), random: random}
	b.count = int64(s.Size / b.apart)
	b.start, b.stride = b.random.Int64N(b.count), b.coprime()
	return b
}

// coprime is a step of some three fifths of the blocks that has no divisor with their number: taken again and again it
// comes to every block once.
func (b *blocks) coprime() int64 {
	step := max(b.count*618/1000, 1)
	for divisor(step, b.count) != 1 {
		step++
	}
	return step
}

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// next is the offset of the next block in bytes; false when there is none any more.
func (b *blocks) next() (offset int64, ok bool) {
	if b.spec.Once && b.turn == b.count {
		return 0, false
	}
	n := b.turn % b.count
	if b.spec.Job.random() {
		n = b.random.Int64N(b.count)
		if b.spec.Once {
			// turn times stride would overflow on a very large device
			b.start = (b.start + b.stride) % b.count
			n = b.start
		}
	}
	b.turn++
	return n * int64(b.apart), true
}

// writes says whether the block that next gave last is to be written.
func (b *blocks) writes() bool {
	if b.spec.Job.Pattern == RandRW {
		return b.random.IntN(100) >= b.spec.Job.ReadPercent
	}
	return b.spec.Job.Writes()
}
