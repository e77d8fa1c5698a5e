//go:build !race

// What takes years is one goroutine's work, on which the race detector would spend half a minute: `make test` runs it without.

package certificates

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

func TestAYear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	w.settle()
	w.pass(365*day, every(4*time.Hour))
	if want := map[string]int{AuthoritySecret: 1, ControllerSecret: 7, AgentSecret: 7}; !maps.Equal(w.writes, want) {
		t.Errorf("writes in a year: %v; want %v, one at first and then one each 60 days", w.writes, want)
	}
}

func TestADecade(t *testing.T) {
	cases := map[string]struct {
		lag  time.Duration
		step func(*rand.Rand) time.Duration
	}{
		"looked at every day":            {2 * time.Minute, func(*rand.Rand) time.Duration { return day }},
		"looked at now and then":         {2 * time.Minute, func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(8 * day))) }},
		"with nodes that are a day late": {spread, func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(3 * day))) }},
		"with a controller away a month": {2 * time.Minute, func(*rand.Rand) time.Duration { return 29 * day }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			w := newWorld(t, c.lag)
			w.settle()
			w.pass(10*365*day, func() time.Duration { return c.step(random) })
			if got := w.writes[AuthoritySecret]; got != 2 {
				t.Errorf("%d authorities in a decade; want one at first, and one after 6 years and 8 months", got)
			}
			// One at first, one each 60 days at most, and for the new authority: trust it, use it, drop the old one.
			for _, name := range []string{ControllerSecret, AgentSecret} {
				if got, most := w.writes[name], 1+10*365/60+3; got > most {
					t.Errorf("%d writes of %s; want %d at most", got, name, most)
				}
			}
		})
	}
}
