package registration

import (
	"testing"
	"time"
)

func TestWhenTheSocketIsMadeAnew(t *testing.T) {
	p := pace{first: 10 * time.Second, most: time.Minute}
	start := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		known state
		gone  bool
		after time.Duration
		want  bool
	}{
		"at once at first":                      {state{}, false, 0, true},
		"not while the kubelet may be at work":  {state{attempts: 1, since: start}, false, 9 * time.Second, false},
		"when nothing came of it":               {state{attempts: 1, since: start}, false, 10 * time.Second, true},
		"later after each that led to nothing":  {state{attempts: 2, since: start}, false, 19 * time.Second, false},
		"at last as rarely as the kubelet does": {state{attempts: 50, since: start}, false, 59 * time.Second, false},
		"and not more rarely":                   {state{attempts: 50, since: start}, false, time.Minute, true},
		"never while registered":                {state{registered: true, since: start}, false, 24 * time.Hour, false},
		"at once when it is gone":               {state{registered: true, since: start}, true, 0, true},
		"at once when it is gone unregistered":  {state{attempts: 3, since: start}, true, 0, true},
	} {
		if got := c.known.due(c.gone, start.Add(c.after), p); got != c.want {
			t.Errorf("%s: %v after %v is due: %v; want %v", name, c.known, c.after, got, c.want)
		}
	}
}

func TestEveryFailureWaitsAnew(t *testing.T) {
	now := time.Unix(1000, 0)
	c := conversation{now: func() time.Time { return now }}
	p := pace{first: 10 * time.Second, most: time.Minute}
	c.begin()
	c.succeed()
	c.fail("no") // a kubelet that was restarted, and could not reach its API server
	if c.state().due(false, now, p) {
		t.Error("a failure after a success is not waited for")
	}
	now = now.Add(10 * time.Second)
	if !c.state().due(false, now, p) {
		t.Error("a failure after a success is never tried again")
	}
	if err := c.check(); err != nil {
		t.Errorf("registered once, and then %v", err)
	}
}
