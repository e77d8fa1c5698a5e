package lvm

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestWhatDoesNotAnswerIsNotAskedAgainBeforeItHas(t *testing.T) {
	var q Questions
	var asked atomic.Int64
	answer := make(chan int)
	pose := func() func(time.Time) (int, error) {
		return Pose(&q, "disk", func() (int, error) { asked.Add(1); return <-answer, nil })
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

// Whoever waits for several until the same moment comes to the last ones when it has passed: one that hangs must not make others
// silent.
func TestAnswersThatAreThereCountHoweverLateTheyAreTaken(t *testing.T) {
	var q Questions
	hangs := make(chan int)
	defer close(hangs)
	first := Pose(&q, "hangs", func() (int, error) { return <-hangs, nil })
	var others []func(time.Time) (int, error)
	for i := range 100 {
		others = append(others, Pose(&q, "answers", func() (int, error) { return i, nil }))
	}
	until := time.Now().Add(200 * time.Millisecond)
	if _, err := first(until); !errors.Is(err, ErrSilent) {
		t.Fatal(err)
	}
	for i, answer := range others {
		if n, err := answer(until); n != i || err != nil {
			t.Errorf("%d: %d, %v", i, n, err)
		}
	}
}
