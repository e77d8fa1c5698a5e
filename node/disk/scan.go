package disk

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/node/signature"
)

var (
	// ErrSilent says that a device did not answer in time. It is not asked again before it does.
	ErrSilent = errors.New("did not answer")
	// ErrHeld says that something holds a device exclusively.
	ErrHeld = errors.New("in use")
	// ErrRefused says that a device may not be claimed.
	ErrRefused = errors.New("not to be claimed")
)

// lookTimeout bounds how long one device may take to be looked at; parallel is how many are at once.
const (
	lookTimeout = 5 * time.Second
	parallel    = 8
)

// Scanner looks at devices. Its zero value looks at this machine's; it is safe for concurrent use.
//
// A device that hangs takes one goroutine for as long as it does, and never a second one.
type Scanner struct {
	Source Source
	// Read says what is on a device; nil for signature.Read.
	Read func(ctx context.Context, path string) (signature.Signature, error)
	// Hold fails with ErrHeld when a device cannot be opened exclusively, and otherwise when its node is not that
	// device; nil for doing so.
	Hold func(Disk) error
	// Unfinished says whether a disk that is neither blank nor in use holds only what an interrupted command of LVM left; nil: none.
	Unfinished func(path string) (bool, error)
	// Timeout bounds the look at one device; 0 for 5 seconds.
	Timeout time.Duration

	running sync.WaitGroup // looks, also those that nobody waits for any more

	mu    sync.Mutex               // guards what follows
	turns map[string]chan struct{} // by path; one look at a time
	known map[string]Inspected     // by path: as of the last look
}

// Scan lists all disks and what is on them. A disk of which nothing changed, as far as the kernel tells without asking
// it, is not read again: a scan of an idle machine starts no process and wakes no disk.
func (s *Scanner) Scan(ctx context.Context) ([]Inspected, error) {
	disks, err := Discover(ctx, s.Source)
	if err != nil {
		return nil, err
	}
	found := make([]Inspected, len(disks))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, d := range disks {
		if known, ok := s.recall(d); ok {
			found[i] = known
			continue
		}
		group.Go(func() error { found[i] = s.inspect(ctx, d); return nil })
	}
	_ = group.Wait() // never an error: each is in its Inspected
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("looking at the disks: %w", err)
	}
	s.remember(found)
	return found, nil
}

// Wait returns when no look runs any more. A device that hangs makes it wait as long.
func (s *Scanner) Wait() { s.running.Wait() }

// Recheck looks at a disk afresh just before it is claimed. Errors: ErrRefused when it is not the disk that it was, neither
// blank nor Unfinished, or held; ErrSilent; signature.ErrUnreadable; and failed look-ups. After one, the next Scan reads it anew.
func (s *Scanner) Recheck(ctx context.Context, d Disk) error {
	err := s.recheck(ctx, d)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.known, d.Path)
	}
	return err
}

func (s *Scanner) recheck(ctx context.Context, d Disk) error {
	disks, err := Discover(ctx, s.Source)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(disks, func(now Disk) bool { return now.Path == d.Path })
	if i < 0 {
		return fmt.Errorf("%s: %w: it is gone", d.Path, ErrRefused)
	}
	now := disks[i]
	if !now.same(d) {
		return fmt.Errorf("%s: %w: another device has taken its place", d.Path, ErrRefused)
	}
	seen := s.inspect(ctx, now)
	if seen.Err != nil {
		return fmt.Errorf("%s: %w", d.Path, seen.Err)
	}
	if reasons := append(use(seen), contents(seen)...); len(reasons) > 0 || !seen.claimable() {
		return fmt.Errorf("%s: %w: %s", d.Path, ErrRefused, join(reasons))
	}
	return nil
}

// same says whether it is one and the same device at two times.
func (d Disk) same(o Disk) bool {
	return d.Number == o.Number && d.Sequence == o.Sequence && d.Kind == o.Kind && d.Size == o.Size &&
		d.Model == o.Model && d.Serial == o.Serial && d.WWN == o.WWN
}

// inspect looks at one disk for no longer than the timeout, and after whoever looks at it already.
func (s *Scanner) inspect(ctx context.Context, d Disk) Inspected {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = lookTimeout
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	turn := s.turn(d.Path)
	done := make(chan Inspected, 1)
	select {
	case turn <- struct{}{}:
		s.running.Go(func() {
			seen := s.look(limited, d)
			<-turn
			done <- seen
		})
	case <-limited.Done():
	}
	select {
	case seen := <-done:
		if seen.Err == nil || limited.Err() == nil {
			return seen
		}
	case <-limited.Done():
	}
	return Inspected{Disk: d, Err: fmt.Errorf("%w within %v", ErrSilent, timeout)}
}

// turn is full while somebody looks at the device.
func (s *Scanner) turn(path string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns == nil {
		s.turns = map[string]chan struct{}{}
	}
	if s.turns[path] == nil {
		s.turns[path] = make(chan struct{}, 1)
	}
	return s.turns[path]
}

// look may hang for as long as the device does.
func (s *Scanner) look(ctx context.Context, d Disk) Inspected {
	read, hold := s.Read, s.Hold
	if read == nil {
		read = signature.Read
	}
	if hold == nil {
		hold = holdExclusively
	}
	seen := Inspected{Disk: d}
	seen.Signature, seen.Err = read(ctx, d.Path)
	if seen.Err == nil && s.Unfinished != nil && mayBeUnfinished(seen) {
		seen.Unfinished, seen.Err = s.Unfinished(d.Path)
	}
	if seen.Err == nil && seen.claimable() && len(d.Holders) == 0 {
		err := hold(d)
		seen.Held = errors.Is(err, ErrHeld)
		if !seen.Held {
			seen.Err = err
		}
	}
	return seen
}

// mayBeUnfinished spares disks that hold something else a closer look.
func mayBeUnfinished(d Inspected) bool {
	s := d.Signature
	unknown := s.Type == "" && s.PartitionTable == "" && !s.Ambivalent && !s.Blank
	return len(d.Holders) == 0 && (unknown || s.Type == physicalVolume && s.PartitionTable == "")
}

// claimable says that nothing is on the disk that is anybody's.
func (d Inspected) claimable() bool { return d.Signature.Blank || d.Unfinished }

// holdExclusively opens a device so that nobody else may, as a mount, swap, md and device-mapper do in any namespace
// (open(2), O_EXCL), and lets it go again.
func holdExclusively(d Disk) error {
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s: %w", d.Path, ErrHeld)
	}
	if err != nil {
		return fmt.Errorf("opening %s exclusively: %w", d.Path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", d.Path, err)
	}
	number := Number{unix.Major(st.Rdev), unix.Minor(st.Rdev)}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || number != d.Number {
		return fmt.Errorf("%s: %w: the node is that of device %v, and the disk is %v", d.Path, ErrRefused, number, d.Number)
	}
	return nil
}

// recall returns the last look at a disk if nothing tells that it has changed since. Physical volumes in use are written
// to all the time and stay what they are.
func (s *Scanner) recall(d Disk) (Inspected, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.known[d.Path]
	if !ok {
		return Inspected{}, false
	}
	was := known.Disk
	if known.Signature.Type == physicalVolume && d.heldByVolumes() {
		was.writes = d.writes
	}
	if !reflect.DeepEqual(was, d) {
		return Inspected{}, false
	}
	return known, true
}

// remember keeps what could be read, for the next Scan.
func (s *Scanner) remember(found []Inspected) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = map[string]Inspected{}
	for _, seen := range found {
		if seen.Err == nil && !seen.Held {
			s.known[seen.Path] = seen
		}
	}
}

// Same says whether two scans saw the same. How much was written meanwhile does not count, nor which volumes are on a
// physical volume.
func Same(a, b []Inspected) bool {
	return slices.EqualFunc(a, b, func(x, y Inspected) bool {
		x.writes, y.writes = 0, 0
		if x.isPhysicalVolume() && y.isPhysicalVolume() {
			x.Holders, y.Holders = nil, nil
		}
		if x.Err != nil && y.Err != nil {
			x.Err, y.Err = nil, nil
		}
		return reflect.DeepEqual(x, y)
	})
}
