package pool

import (
	"errors"
	"fmt"

	"github.com/loam-storage/loam/lvm"
)

// DefaultSize is a volume's size when the request asks for none.
const DefaultSize = lvm.GiB

// MaximumSize is the largest size that may be asked for: 8 EiB less what rounding up to an extent can add. LVM and the
// kernel bound a volume lower, and say so.
const MaximumSize lvm.Bytes = 1<<63 - 1 - (lvm.GiB << 10)

var (
	// ErrRange says that no size satisfies a request.
	ErrRange = errors.New("no size satisfies the request")
	// ErrNoRoom says that the pool cannot give what was asked for.
	ErrNoRoom = errors.New("not enough room")
)

// Range is CSI's CapacityRange: Required at least, Limit at most; zero means not given.
type Range struct{ Required, Limit lvm.Bytes }

// String is the range in words.
func (r Range) String() string {
	if r.Limit == 0 {
		return fmt.Sprintf("at least %v", r.Required)
	}
	return fmt.Sprintf("between %v and %v", r.Required, r.Limit)
}

// Contains says whether a volume of that size satisfies the range.
func (r Range) Contains(size lvm.Bytes) bool {
	return size >= r.Required && (r.Limit == 0 || size <= r.Limit)
}

// Fit is the size that a new volume gets: the least that is a multiple of extent, at least least, and satisfies r.
// Errors: ErrRange.
func Fit(r Range, least, extent lvm.Bytes) (lvm.Bytes, error) {
	if r.Required > MaximumSize || r.Limit > 0 && r.Limit < r.Required {
		return 0, fmt.Errorf("%w: required %d, limit %d", ErrRange, r.Required, r.Limit)
	}
	want := r.Required
	if want == 0 {
		want = DefaultSize
		if r.Limit > 0 {
			want = min(want, r.Limit.RoundDown(extent))
		}
	}
	size := max(want, least, extent).RoundUp(extent)
	if r.Limit > 0 && size > r.Limit {
		return 0, fmt.Errorf("%w: the smallest volume here that holds the required %v is %v (sizes are multiples of %v), and the limit is %v", ErrRange, want, size, extent, r.Limit)
	}
	return size, nil
}

// Admit says whether a pool with that room may give a new volume of that size. Errors: ErrNoRoom.
func (r Room) Admit(size lvm.Bytes) error {
	if r.Problem != "" {
		return fmt.Errorf("%w: %s", ErrNoRoom, r.Problem)
	}
	if size > r.Largest {
		return fmt.Errorf("%w: %v asked for, %v available", ErrNoRoom, size, r.Largest)
	}
	return nil
}

// Growth is the size that a volume of that size gets to satisfy r; it equals size when nothing is to be done, as a
// volume never shrinks. Errors: ErrRange, ErrNoRoom.
func (r Room) Growth(size lvm.Bytes, want Range) (lvm.Bytes, error) {
	if want.Limit > 0 && want.Limit < max(size, want.Required) {
		return 0, fmt.Errorf("%w: the volume has %v already, %v is required, and the limit is %v", ErrRange, size, want.Required, want.Limit)
	}
	if want.Required <= size {
		return size, nil
	}
	to, err := Fit(want, size, r.Extent)
	if err != nil {
		return 0, err
	}
	if err := r.Admit(to - size); err != nil {
		return 0, err
	}
	return to, nil
}
