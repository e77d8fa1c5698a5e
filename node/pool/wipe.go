package pool

import (
	"context"
	"errors"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/volume"
)

// wipeAgain is when a volume that could not be wiped is tried again.
const wipeAgain = time.Minute

// WipeSoon says that a deleted thick volume waits to be wiped.
func (p *Pools) WipeSoon() {
	select {
	case p.wipe <- struct{}{}:
	default: // already said
	}
}

// Wipe overwrites deleted thick volumes and gives their extents back, one after another, until the context ends. What
// it does not finish is found by its name when the pool comes up the next time.
func (p *Pools) Wipe(ctx context.Context) {
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.wipe:
		case <-again:
		}
		again = nil
		if p.wipeAll(ctx) != nil {
			again = time.After(wipeAgain)
		}
	}
}

func (p *Pools) wipeAll(ctx context.Context) error {
	pools := p.All()
	report, err := p.Report(ctx)
	if err != nil && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "cannot look for volumes to wipe", "error", err)
	}
	if err != nil {
		return err
	}
	var failed error
	for _, v := range Volumes(pools, report) {
		if v.Record.Kind != volume.Wiping || ctx.Err() != nil {
			continue
		}
		started := time.Now()
		if err := p.wipeOne(ctx, v, wipeOf(pools, v.Pool)); err != nil {
			p.log.ErrorContext(ctx, "volume not wiped", "volume", v.Record.Name, "lv", v.LV.Name, "error", err)
			failed = errors.Join(failed, err)
			continue
		}
		p.log.InfoContext(ctx, "volume wiped", "volume", v.Record.Name, "size", v.LV.Size.String(), "duration", time.Since(started).Round(time.Millisecond))
	}
	return failed
}

func wipeOf(pools []config.Pool, name string) config.Wipe {
	for _, c := range pools {
		if c.Name == name {
			return c.Wipe
		}
	}
	return config.Zero
}

// wipeOne holds the group's lock only for LVM's commands, never while it writes.
func (p *Pools) wipeOne(ctx context.Context, v Volume, how config.Wipe) error {
	device, err := p.activated(ctx, v)
	if err != nil {
		return err
	}
	if how == config.Discard {
		err = filesystem.Discard(ctx, device.Path)
	} else {
		err = filesystem.Zero(ctx, device.Path)
	}
	if err != nil {
		return err
	}
	unlock, err := p.Lock(ctx, v.Group)
	if err != nil {
		return err
	}
	defer unlock()
	defer p.tell()
	return p.lvm.Remove(v.Group, v.LV.Name)
}

func (p *Pools) activated(ctx context.Context, v Volume) (lvm.Device, error) {
	device, err := p.lvm.Device(v.Group, v.LV.Name)
	if !errors.Is(err, lvm.ErrNoDevice) {
		return device, err
	}
	unlock, err := p.Lock(ctx, v.Group)
	if err != nil {
		return lvm.Device{}, err
	}
	defer unlock()
	if err := p.lvm.Activate(v.Group, v.LV.Name); err != nil {
		return lvm.Device{}, err
	}
	return p.lvm.Device(v.Group, v.LV.Name)
}
