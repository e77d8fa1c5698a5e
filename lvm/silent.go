package lvm

import (
	"fmt"
	"sync"
	"time"
)

// A device that hangs, and a thin pool on one, keeps whoever asks it in the kernel, where nobody can end it. So whatever a report needs
// is asked in a goroutine of its own, which is left behind; what did not answer is not asked again before it has.

// patience is how long an answer is waited for. A disk that is only busy is quicker.
const patience = 5 * time.Second

// Questions are those that wait for an answer, also of others who ask what may hang. The zero value is ready; it is safe for concurrent use.
type Questions struct {
	mu     sync.Mutex
	silent map[string]int // what was asked in vain, and how often
}

func (q *Questions) isSilent(about string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.silent[about] > 0
}

// Pose asks, and returns a function that waits for the answer. Errors: ErrSilent.
func Pose[T any](q *Questions, about string, ask func() (T, error)) (answer func(until time.Time) (T, error)) {
	type reply struct {
		value T
		err   error
	}
	var nothing T
	silence := fmt.Errorf("%s %w", about, ErrSilent)
	if q.isSilent(about) {
		return func(time.Time) (T, error) { return nothing, silence }
	}
	var ended, counted bool // guarded by q.mu
	replies := make(chan reply, 1)
	go func() {
		value, err := ask()
		replies <- reply{value, err}
		q.mu.Lock()
		defer q.mu.Unlock()
		ended = true
		if counted {
			q.silent[about]--
		}
	}()
	return func(until time.Time) (T, error) {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case r := <-replies:
			return r.value, r.err
		case <-timer.C:
		}
		select { // it may be there already: who waits for several begins late with the last ones
		case r := <-replies:
			return r.value, r.err
		default:
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if !ended {
			if q.silent == nil {
				q.silent = map[string]int{}
			}
			counted = true
			q.silent[about]++
		}
		return nothing, silence
	}
}

// ask is Pose, and waits as long as patience lasts.
func ask[T any](q *Questions, about string, question func() (T, error)) (T, error) {
	return Pose(q, about, question)(time.Now().Add(patience))
}
