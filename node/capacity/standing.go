package capacity

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// overdue is how old what is published may be before a person should know: there is a round each minute, and an API server may be away
// for a moment.
const overdue = 2 * refresh

// standing is how publishing goes. All of it may be called at any time.
type standing struct {
	mu      sync.Mutex
	at      time.Time // as Published
	problem error     // of the last round, or of the watch since
}

func (s *standing) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.problem = time.Now(), errors.New("the API server has not told yet which StorageClasses there are, and what is published")
}

// ended notes how a round ended, or the watch.
func (s *standing) ended(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problem = err
	if err == nil {
		s.at = time.Now()
	}
}

// Published is when all that this node should publish last was; until then when Run began, and zero before that.
func (s *standing) Published() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// Problem says why what is published is old; nil when it is not, or not for long enough for a person to know.
func (s *standing) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || time.Since(s.at) <= overdue {
		return nil
	}
	why := s.problem
	if why == nil {
		why = errors.New("the pools are still asked")
	}
	return fmt.Errorf("since %s: %w", s.at.UTC().Format(time.DateTime+" MST"), why)
}
