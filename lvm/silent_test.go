package lvm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhatDoesNotAnswerIsNotAskedAgainBeforeItHas(t *testing.T) {
	var q questions
	var asked atomic.Int64
	answer := make(chan int)
	pose := func() func(time.Time) (int, error) {
		return pose(&q, "disk", func() (int, error) { asked.Add(1); return <-answer, nil })
	}
	first, second := pose(), pose() // of callers that come together each asks
	for _, wait := range []func() func(time.Time) (int, error){
		func() func(time.Time) (int, error) { return first },
		func() func(time.Time) (int, error) { return second },
		pose, pose,
	} {
		if _, err := wait()(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, ErrSilent) || err.Error() != "disk does not answer" {
			t.Errorf("while it hangs: %v", err)
		}
	}
	if n, err := ask(&q, "another", func() (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("another: %d, %v", n, err)
	}
	answer <- 1
	answer <- 2
	for q.isSilent("disk") {
		time.Sleep(time.Millisecond)
	}
	again := pose()
	answer <- 3
	if n, err := again(time.Now().Add(time.Minute)); n != 3 || err != nil || asked.Load() != 3 {
		t.Errorf("after it answered: %d, %v; asked %d times, want 3", n, err, asked.Load())
	}
}
