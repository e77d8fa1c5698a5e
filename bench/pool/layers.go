package pool

import (
	"context"
	"errors"
	"slices"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
)

// Layers measures the same jobs in every layer of a pool, from the raw disk to a file system. A layer that cannot be measured says why
// in Stage.Skipped. What was measured is returned with an error, too.
func Layers(ctx context.Context, p Plan) ([]bench.Stage, error) {
	return p.within(ctx, func(ctx context.Context, s *site) ([]bench.Stage, error) {
		c, err := choose(s.pool, s.group, s.Profile.Size)
		if err != nil {
			return nil, err
		}
		places, err := s.open(ctx, c)
		if err != nil {
			return nil, err
		}
		measured, err := s.measure(ctx, arrange(places, c, s.Profile.Jobs))
		return inOrder(measured, c), err
	})
}

// open makes the places, by layer. The striped volume is made first: a linear one finds room wherever it is.
func (s *site) open(ctx context.Context, c choice) (map[string]*bench.Place, error) {
	places := map[string]*bench.Place{}
	for _, step := range []struct {
		layer string
		make  func(context.Context, choice, map[string]*bench.Place) error
	}{
		{striped, s.openStriped}, {linear, s.openLinear}, {raw, s.openRaw}, {allocated, s.openAllocated},
		{firstWrite, s.openFirstWrite}, {copied, s.openCopied}, {onExt4, s.openFileSystem(filesystem.Ext4, onExt4)},
		{onXFS, s.openFileSystem(filesystem.XFS, onXFS)},
	} {
		if !c.has(step.layer) {
			continue
		}
		s.tell(step.layer)
		if err := errors.Join(ctx.Err(), step.make(ctx, c, places)); err != nil {
			return nil, err
		}
	}
	return places, nil
}

// arrange names the places and what each is compared with, and drops those in which no job of the profile can be run.
func arrange(places map[string]*bench.Place, c choice, jobs []bench.Job) (all []*bench.Place) {
	for _, layer := range layers {
		place := places[layer]
		if place == nil {
			continue
		}
		if why := oneOf(jobs, place); why != "" {
			c.skipped[layer] = why
			continue
		}
		place.Name = layer
		for _, below := range beneath[layer] {
			if places[below] != nil && c.has(below) && place.Baseline == "" {
				place.Baseline = below
			}
		}
		all = append(all, place)
	}
	return all
}

// inOrder adds the stages that were not measured to those that were.
func inOrder(measured []bench.Stage, c choice) (all []bench.Stage) {
	for _, layer := range layers {
		i := slices.IndexFunc(measured, func(s bench.Stage) bool { return s.Name == layer })
		switch {
		case i >= 0:
			all = append(all, measured[i])
		case !c.has(layer):
			all = append(all, bench.Stage{Name: layer, Skipped: c.skipped[layer]})
		}
	}
	return all
}

// place is a volume as a place.
func (s *site) place(d lvm.Device) *bench.Place {
	return &bench.Place{Path: d.Path, Size: s.Profile.Size, Device: s.disk, Major: d.Major, Minor: d.Minor}
}

// chunk is what the thin pool allocates, and copies, at once.
func (s *site) chunk() lvm.Bytes {
	lv, _ := s.group.LV(s.thinPool)
	return lv.ChunkSize
}

// filled is a volume of which all has been written.
func (s *site) filled(ctx context.Context, d lvm.Device, err error) (*bench.Place, error) {
	if err != nil {
		return nil, err
	}
	return s.place(d), bench.Fill(ctx, d.Path, s.Profile.Size)
}

func (s *site) openStriped(ctx context.Context, c choice, places map[string]*bench.Place) error {
	d, err := s.thick("striped", s.Profile.Size, c.stripes)
	places[striped], err = s.filled(ctx, d, err)
	return err
}

func (s *site) openLinear(ctx context.Context, _ choice, places map[string]*bench.Place) error {
	d, err := s.thick("linear", s.Profile.Size, 1)
	places[linear], err = s.filled(ctx, d, err)
	return err
}

func (s *site) openAllocated(ctx context.Context, _ choice, places map[string]*bench.Place) error {
	d, err := s.thin("thin", s.Profile.Size)
	places[allocated], err = s.filled(ctx, d, err)
	return err
}

// openFirstWrite makes a volume that is blank before each run.
func (s *site) openFirstWrite(_ context.Context, _ choice, places map[string]*bench.Place) error {
	const name = "first"
	d, err := s.thin(name, s.Profile.Size)
	if err != nil {
		return err
	}
	place := s.place(d)
	place.Once, place.Chunk, place.Refuses = true, s.chunk(), first
	place.Before = func(ctx context.Context) (func() error, error) {
		return func() error { return nil }, s.blank(ctx, name, d.Path)
	}
	places[firstWrite] = place
	return nil
}

// openCopied makes a volume of which a snapshot is taken before each run, and removed after it.
func (s *site) openCopied(ctx context.Context, _ choice, places map[string]*bench.Place) error {
	const name, snapshot = "origin", "copy"
	d, err := s.thin(name, s.Profile.Size)
	place, err := s.filled(ctx, d, err)
	if err != nil {
		return err
	}
	place.Once, place.Chunk, place.Refuses = true, s.chunk(), copying
	place.Before = func(context.Context) (func() error, error) {
		return func() error { return s.remove(snapshot) }, s.snapshot(name, snapshot)
	}
	places[copied] = place
	return nil
}
