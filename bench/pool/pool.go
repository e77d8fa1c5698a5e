package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"golang.org/x/sys/unix"
)

// Pool is what its agent says of a pool.
type Pool struct {
	Name, VolumeGroup string
	ThinPool          string    // its logical volume; "" for a thick pool
	Devices           []string  // its physical volumes
	Available         lvm.Bytes // what new volumes may ask for together
	ExtendAt          lvm.Bytes // how much of a thin pool may be in use before the agent extends it or warns of it
	Problem           string    // why it gives nothing; "" when it is well
}

// Plan is a measurement in a pool.
type Plan struct {
	Ask     func(context.Context) (Pool, error) // asks the agent, each time anew
	LVM     *lvm.LVM                            // for this measurement alone
	Folder  string                              // for a lock, the same one for all that measure in the pool
	Profile bench.Profile
	Engine  bench.Engine
	Seed    int64
	Tell    func(bench.Progress) // nil: nobody
}

func unfit(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, bench.ErrUnfit)...)
}

// site is a pool while it is measured in.
type site struct {
	Plan
	pool  Pool
	group lvm.VolumeGroup // as it was before anything was made
	disk  string          // what it is on, for people
	volumes
}

// within lends f a pool without volumes of an earlier measurement, in which nobody else measures, and afterwards removes what f made.
func (p Plan) within(ctx context.Context, f func(context.Context, *site) ([]bench.Stage, error)) (stages []bench.Stage, err error) {
	s := &site{Plan: p}
	if s.pool, err = p.ready(ctx); err != nil {
		return nil, err
	}
	unlock, err := lock(p.Folder, s.pool.VolumeGroup)
	if err != nil {
		return nil, err
	}
	defer unlock()
	p.LVM.SetDevices(s.pool.Devices)
	s.volumes = volumes{lvm: p.LVM, group: s.pool.VolumeGroup, thinPool: s.pool.ThinPool, held: map[string]*os.File{}}
	left, err := s.removeAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("removing what an earlier loam bench left: %w", err)
	}
	if left > 0 { // there is more room now
		if s.pool, err = p.ready(ctx); err != nil {
			return nil, err
		}
	}
	if s.group, err = s.look(ctx); err != nil {
		return nil, err
	}
	s.disk = bench.Described(ctx, s.pool.Devices)
	defer func() {
		_, failed := s.removeAll(context.WithoutCancel(ctx))
		err = errors.Join(err, failed)
	}()
	return f(ctx, s)
}

func (p Plan) ready(ctx context.Context) (Pool, error) {
	pool, err := p.Ask(ctx)
	if err == nil && pool.Problem != "" {
		err = unfit("pool %s: %s", pool.Name, pool.Problem)
	}
	return pool, err
}

// tell says that a place is being made.
func (s *site) tell(place string) {
	if s.Tell != nil {
		s.Tell(bench.Progress{Place: place, Job: "prepare"})
	}
}

// measure runs the profile's jobs in the places.
func (s *site) measure(ctx context.Context, places []*bench.Place) ([]bench.Stage, error) {
	return bench.Run(ctx, bench.Plan{Profile: s.Profile, Engine: s.Engine, Places: places, Seed: s.Seed, Tell: s.Tell})
}

// lock keeps others from measuring in a group, and from taking what is in use for what was left. It is not closed in programs that this
// one runs, on purpose: it lasts until the last of them has ended that may still write, also when this one was killed.
func lock(folder, group string) (unlock func(), err error) {
	path := filepath.Join(folder, "bench-"+group+".lock")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	for until := time.Now().Add(lockPatience); ; {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { unix.Close(fd) }, nil
		case errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(until):
			time.Sleep(lockPause) //nolint:forbidigo // nobody tells when a lock of another process is free
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			err = unfit("another loam bench, or what a killed one started, is at work in volume group %s", group)
		}
		unix.Close(fd)
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}

// lockPatience is how long it is waited for what a killed measurement started, such as mkfs, which ends soon.
const (
	lockPatience = 5 * time.Second
	lockPause    = 50 * time.Millisecond
)
