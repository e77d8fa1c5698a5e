package capacity

import (
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
)

// figures are what an object says of a StorageClass on this node.
type figures struct {
	capacity lvm.Bytes // what new volumes may have together
	largest  lvm.Bytes // the largest single one
}

// step is what figures of a pool of that size are multiples of: 1 GiB or, where that is larger, 1 % of the pool, so that
// a pool has at most a hundred figures to publish however large it is. Below 20 GiB, where 1 GiB would hide more than 5 % of
// the pool, it is those 5 %.
func step(size lvm.Bytes) lvm.Bytes {
	return max(lvm.MiB, max(size/100, min(lvm.GiB, size/20)).RoundDown(lvm.MiB))
}

// roundedDown are the figures to publish of a pool with that room.
func roundedDown(r pool.Room) figures {
	unit := step(r.Size)
	return figures{r.Available.RoundDown(unit), r.Largest.RoundDown(unit)}
}

// add gives what two pools can give to the volumes of one StorageClass, each volume being in one of them.
func (f figures) add(g figures) figures {
	return figures{f.capacity + g.capacity, max(f.largest, g.largest)}
}

// least are the lower ones of both.
func (f figures) least(g figures) figures {
	return figures{min(f.capacity, g.capacity), min(f.largest, g.largest)}
}

// next decides what an object that says said shall say at now when target is true: less at once, more once it could have
// said more for as long as hold. since is when that began, zero if it did not. The answer has the new since and, if
// something is held back, when it is due.
func next(said, target figures, since, now time.Time, hold time.Duration) (say figures, raising, due time.Time) {
	lowered := said.least(target)
	if lowered == target {
		return target, time.Time{}, time.Time{}
	}
	if since.IsZero() {
		since = now
	}
	if due = since.Add(hold); due.After(now) {
		return lowered, since, due
	}
	return target, since, time.Time{}
}
