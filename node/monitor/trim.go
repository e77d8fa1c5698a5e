package monitor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
)

// Every mounted file system in a thin pool is trimmed as often as trimInterval says, and when space is short, though not again
// within trimPause: a file system that was just trimmed has no more to give.
const (
	trimInterval = 24 * time.Hour
	trimPause    = 10 * time.Minute
	trimLook     = 10 * time.Minute // how often it is looked for those whose time has come
)

// trimmer trims one file system after another.
type trimmer struct {
	pools *pool.Pools
	log   *slog.Logger
	tight chan struct{}
	last  map[string]trimmed // by volume
}

// trimmed is when a volume was last trimmed: never, if it is zero, and then it counts from when it was first seen.
type trimmed struct{ seen, last time.Time }

func newTrimmer(p *pool.Pools, log *slog.Logger) *trimmer {
	return &trimmer{pools: p, log: log, tight: make(chan struct{}, 1), last: map[string]trimmed{}}
}

// now says that space is short.
func (t *trimmer) now() {
	select {
	case t.tight <- struct{}{}:
	default: // already said
	}
}

func (t *trimmer) run(ctx context.Context) {
	tick := time.NewTicker(trimLook)
	defer tick.Stop()
	short := false
	for ctx.Err() == nil {
		t.trimDue(ctx, short)
		select {
		case <-ctx.Done():
		case <-t.tight:
			short = true
		case <-tick.C:
			short = false
		}
	}
}

func (t *trimmer) trimDue(ctx context.Context, short bool) {
	report, err := t.pools.Report(ctx)
	if err != nil {
		return // the monitor says so
	}
	volumes := pool.Volumes(t.pools.All(), report)
	for _, v := range due(volumes, t.last, short, time.Now()) {
		if ctx.Err() != nil {
			return
		}
		t.trim(ctx, v)
	}
}

// due are the volumes whose file systems are to be trimmed now; last is brought up to date with all that there are.
func due(volumes []pool.Volume, last map[string]trimmed, short bool, now time.Time) []pool.Volume {
	var ready []pool.Volume
	there := map[string]bool{}
	for _, v := range volumes {
		if v.LV.Segment != lvm.Thin || v.Record.FS == "" || !v.LV.Open || v.LV.ReadOnly {
			continue
		}
		there[v.LV.Name] = true
		t, known := last[v.LV.Name]
		if !known {
			t.seen = now
		}
		wait, since := trimInterval, later(t.seen, t.last)
		if short {
			wait, since = trimPause, t.last
		}
		if now.Sub(since) >= wait {
			t.last = now
			ready = append(ready, v)
		}
		last[v.LV.Name] = t
	}
	for name := range last {
		if !there[name] {
			delete(last, name)
		}
	}
	return ready
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// trim trims a volume where it is mounted to be written.
func (t *trimmer) trim(ctx context.Context, v pool.Volume) {
	device, err := t.pools.LVM().Device(v.Group, v.LV.Name)
	if err != nil {
		return // no longer active
	}
	mounts, err := filesystem.MountsOf(device.Major, device.Minor)
	if err != nil {
		t.log.WarnContext(ctx, "volume not trimmed", "lv", v.LV.Name, "error", err)
		return
	}
	for _, m := range mounts {
		if m.ReadOnly() || m.Root != "/" {
			continue
		}
		if _, err := filesystem.Trim(ctx, m, device.Size); err != nil && !errors.Is(err, errors.ErrUnsupported) && ctx.Err() == nil {
			t.log.WarnContext(ctx, "volume not trimmed", "volume", v.Record.Name, "lv", v.LV.Name, "error", err)
			continue
		}
		after, err := t.pools.LVM().Device(v.Group, v.LV.Name)
		if err == nil {
			t.log.InfoContext(ctx, "volume trimmed", "volume", v.Record.Name, "lv", v.LV.Name, "freed", max(0, device.Mapped-after.Mapped).String())
		}
		return
	}
}
