package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"golang.org/x/sync/errgroup"
)

// mostNeighbours bounds how many volumes are made.
const mostNeighbours = 64

// CheckNeighbours says which numbers of neighbours there cannot be.
func CheckNeighbours(numbers []int) error {
	if len(numbers) == 0 || slices.Min(numbers) < 0 || slices.Max(numbers) > mostNeighbours {
		return fmt.Errorf("%d: expected numbers from 0 to %d, such as 0,1,4", numbers, mostNeighbours)
	}
	return nil
}

// Neighbours measures a volume, such as CreateVolume makes in the pool, beside that many others each of which is written at full
// speed. What was measured is returned with an error, too.
func Neighbours(ctx context.Context, p Plan, numbers []int) ([]bench.Stage, error) {
	if err := CheckNeighbours(numbers); err != nil {
		return nil, err
	}
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	return p.within(ctx, func(ctx context.Context, s *site) ([]bench.Stage, error) {
		most := numbers[len(numbers)-1]
		if err := fits(s.pool, s.group, s.Profile.Size, 1+most); err != nil {
			return nil, err
		}
		victim, err := s.written(ctx, "victim")
		if err != nil {
			return nil, err
		}
		var noisy []*bench.Place
		for i := range most {
			place, err := s.written(ctx, fmt.Sprintf("noisy-%d", i+1))
			if err != nil {
				return nil, err
			}
			noisy = append(noisy, place)
		}
		// The built-in engine keeps its processor while it waits for the disk: with fewer than there are writers the victim would wait for them,
		// and not for the disk.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1 + most))
		return s.measure(ctx, beside(victim, noisy, numbers))
	})
}

// written is a volume of the pool's own kind, all of which was written, so that what is measured are writers and not allocation.
func (s *site) written(ctx context.Context, name string) (*bench.Place, error) {
	s.tell(name)
	var d lvm.Device
	var err error
	if s.thinPool != "" {
		d, err = s.thin(name, s.Profile.Size)
	} else {
		d, err = s.thick(name, s.Profile.Size, 1)
	}
	return s.filled(ctx, d, err)
}

// beside is the victim as a place for each number of neighbours.
func beside(victim *bench.Place, noisy []*bench.Place, numbers []int) (places []*bench.Place) {
	for _, n := range numbers {
		place := *victim
		place.Name = fmt.Sprintf("%d neighbours", n)
		if n == 1 {
			place.Name = "1 neighbour"
		}
		if len(places) > 0 {
			place.Baseline = places[0].Name
		}
		place.Before = func(ctx context.Context) (func() error, error) { return disturb(ctx, noisy[:n]), nil }
		places = append(places, &place)
	}
	return places
}

// disturb writes to all of the places, again and again, until it is ended, which waits for what is under way.
func disturb(ctx context.Context, noisy []*bench.Place) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var writers errgroup.Group
	for i, place := range noisy {
		writers.Go(func() error {
			_, err := bench.Direct{}.Run(ctx, bench.Spec{
				Job:  bench.Job{Name: "noise", Pattern: bench.Write, BlockSize: lvm.MiB, Depth: 8},
				Path: place.Path, Size: place.Size, Seed: int64(i), Runtime: forever,
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		})
	}
	return func() error {
		cancel()
		if err := writers.Wait(); err != nil {
			return fmt.Errorf("a noisy neighbour: %w", err)
		}
		return nil
	}
}

// forever is longer than any run.
const forever = 1000 * time.Hour
