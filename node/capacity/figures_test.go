package capacity

import (
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/pool"
)

func TestFiguresAreRoundedDownByThePoolsSize(t *testing.T) {
	for _, c := range []struct {
		name            string
		size, available lvm.Bytes
		want            lvm.Bytes
	}{
		{"1 GiB up to 100 GiB", 90 * lvm.GiB, 42*lvm.GiB + 1023*lvm.MiB, 42 * lvm.GiB},
		{"1 % above", 1000 * lvm.GiB, 999 * lvm.GiB, 990 * lvm.GiB},
		{"1 % of what 1 % does not divide, to a MiB", lvm.TiB, lvm.TiB, 100 * 10485 * lvm.MiB},
		{"5 % below 20 GiB", 10 * lvm.GiB, 10*lvm.GiB - 4*lvm.MiB, 19 * 512 * lvm.MiB},
		{"a small pool is not nothing", 1900 * lvm.MiB, 1896 * lvm.MiB, 19 * 95 * lvm.MiB},
		{"nor is a tiny one", 8 * lvm.MiB, 4 * lvm.MiB, 4 * lvm.MiB},
		{"less than a step is nothing", 90 * lvm.GiB, 900 * lvm.MiB, 0},
		{"no size", 0, 0, 0},
		{"over-provisioned", 100 * lvm.GiB, 250*lvm.GiB + lvm.MiB, 250 * lvm.GiB},
	} {
		got := roundedDown(pool.Room{Size: c.size, Available: c.available, Largest: c.available})
		if want := (figures{c.want, c.want}); got != want {
			t.Errorf("%s: %v of %v is published as %v, want %v", c.name, c.available, c.size, got, want)
		}
	}
}

func TestAStepNeverHidesMoreThanATwentiethAndGrowsWithThePool(t *testing.T) {
	last := lvm.Bytes(0)
	for size := 20 * lvm.MiB; size < 100*lvm.TiB; size += size / 7 {
		unit := step(size)
		if unit > size/20 {
			t.Errorf("a step of %v hides over 5 %% of %v", unit, size)
		}
		if unit < last {
			t.Errorf("a step of %v for %v, less than the %v of a smaller pool", unit, size, last)
		}
		last = unit
	}
}

func TestFiguresGoDownAtOnceAndUpAfterTheHold(t *testing.T) {
	const hold = 5 * time.Second
	now := time.Unix(1000, 0)
	since := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, c := range []struct {
		name         string
		said, target figures
		since        time.Time
		want         figures
		raising, due time.Time
	}{
		{"nothing changed", figures{5, 5}, figures{5, 5}, time.Time{}, figures{5, 5}, time.Time{}, time.Time{}},
		{"less", figures{5, 5}, figures{3, 2}, time.Time{}, figures{3, 2}, time.Time{}, time.Time{}},
		{"less, and no longer more", figures{5, 5}, figures{3, 2}, since(time.Second), figures{3, 2}, time.Time{}, time.Time{}},
		{"more begins to wait", figures{5, 5}, figures{9, 9}, time.Time{}, figures{5, 5}, now, now.Add(hold)},
		{"more still waits, from when it began", figures{5, 5}, figures{9, 9}, since(4 * time.Second), figures{5, 5}, since(4 * time.Second), now.Add(time.Second)},
		{"more is due", figures{5, 5}, figures{9, 9}, since(hold), figures{9, 9}, since(hold), time.Time{}},
		{"more together and smaller ones", figures{5, 5}, figures{9, 3}, time.Time{}, figures{5, 3}, now, now.Add(hold)},
	} {
		say, raising, due := next(c.said, c.target, c.since, now, hold)
		if say != c.want || !raising.Equal(c.raising) || !due.Equal(c.due) {
			t.Errorf("%s: %v, raising %v, due %v; want %v, %v, %v", c.name, say, raising, due, c.want, c.raising, c.due)
		}
	}
}
