package monitor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
)

// How long it waits for an event before it looks all the same, as a rule and while a pool is near a threshold; and how often it
// asks the kernel meanwhile how fast pools fill, which costs microseconds.
const (
	slowTick = 10 * time.Second
	fastTick = time.Second
	pulse    = 250 * time.Millisecond
)

// Monitor watches the pools. New makes it.
type Monitor struct {
	pools *pool.Pools
	log   *slog.Logger
	watch func(ctx context.Context, tell func()) error
	woken chan struct{}

	// Of the one goroutine that looks:
	pace     pace
	extended bool                   // the last look extended a pool
	vain     time.Time              // when it was last hurried to no avail: a pool that cannot be extended is not worth looking at all the time
	failed   map[string][]Condition // of each pool's file systems, of which no event tells,
	asked    time.Time              // and when they were last looked at

	mu         sync.Mutex // guards what follows
	conditions []Condition
	since      map[condition]time.Time
}

// condition is what makes one the same as before.
type condition struct {
	pool string
	kind Kind
}

// Standing is a condition and since when it is one.
type Standing struct {
	Condition
	Since time.Time
}

// Conditions are those of now, in the order of the pools.
func (m *Monitor) Conditions() []Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Standing, 0, len(m.conditions))
	for _, c := range m.conditions {
		all = append(all, Standing{c, m.since[condition{c.Pool, c.Kind}]})
	}
	return all
}

// New makes a monitor. watch calls tell after every event of device-mapper until the context ends; nil: there are none to
// wait for.
func New(p *pool.Pools, log *slog.Logger, watch func(ctx context.Context, tell func()) error) *Monitor {
	return &Monitor{pools: p, log: log, watch: watch, woken: make(chan struct{}, 1)}
}

// Wake has the monitor look now: something may have gone wrong.
func (m *Monitor) Wake() {
	select {
	case m.woken <- struct{}{}:
	default: // already told
	}
}

// Run watches until the context ends.
func (m *Monitor) Run(ctx context.Context) error {
	var group errgroup.Group
	if m.watch != nil {
		group.Go(func() error {
			if err := m.watch(ctx, m.Wake); err != nil {
				m.log.WarnContext(ctx, "no events from device-mapper: pools are looked at every few seconds only", "error", err)
			}
			return nil
		})
	}
	trims := newTrimmer(m.pools, m.log)
	group.Go(func() error { trims.run(ctx); return nil })
	for hurried := false; ctx.Err() == nil; {
		near, tight := m.look(ctx)
		if tight {
			trims.now()
		}
		if hurried && !m.extended {
			m.vain = time.Now()
		}
		hurried = m.wait(ctx, near)
	}
	return group.Wait()
}

// wait returns when there may be something to do; hurried says that a pool fills so fast that it should be extended.
func (m *Monitor) wait(ctx context.Context, near bool) (hurried bool) {
	until := slowTick
	if near {
		until = fastTick
	}
	timer, ticker := time.NewTimer(until), time.NewTicker(pulse)
	defer timer.Stop()
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-m.woken:
			return false
		case <-timer.C:
			return false
		case now := <-ticker.C:
			if m.pace.measure(m.pools.LVM(), now) && now.Sub(m.vain) >= fastTick {
				return true
			}
		}
	}
}

// look reads, assesses and acts once. near says that a pool is near one of its thresholds, tight that space is short.
func (m *Monitor) look(ctx context.Context) (near, tight bool) {
	report, err := m.pools.Report(ctx)
	if err != nil {
		if ctx.Err() == nil {
			m.log.ErrorContext(ctx, "cannot look at the pools", "error", err)
		}
		return false, false
	}
	before := Before{Conditions: m.now()}
	var conditions []Condition
	m.pace.follow(m.pools.All(), report)
	m.extended = false
	if time.Since(m.asked) >= slowTick {
		m.failed, m.asked = map[string][]Condition{}, time.Now()
	}
	for _, c := range m.pools.All() {
		vg, ok := report.VolumeGroup(c.VolumeGroup)
		if !ok {
			continue // package pool says why there is none
		}
		if pool.Ails(vg) {
			vg = m.heal(ctx, vg)
		}
		before.Ahead = m.pace.ahead(c.Name)
		plan := Assess(c, vg, before)
		if plan.Extend != nil {
			plan = m.extend(ctx, c, before, plan)
		}
		conditions = append(conditions, plan.Conditions...)
		if !vg.Silent() {
			conditions = append(conditions, m.fileSystems(ctx, c, report)...)
		}
		near, tight = near || plan.Close, tight || plan.Tight
	}
	for name, err := range m.pools.BackUp(report) {
		conditions = append(conditions, Condition{Pool: name, Kind: NotBackedUp, Message: "no copy of the volume group's metadata could be kept: " + err.Error()})
	}
	m.conclude(ctx, conditions)
	return near, tight
}

// heal mends a group, and returns it as it then is.
func (m *Monitor) heal(ctx context.Context, vg lvm.VolumeGroup) lvm.VolumeGroup {
	if err := m.pools.Heal(ctx, vg.Name); err != nil && ctx.Err() == nil {
		m.log.ErrorContext(ctx, "not healed", "group", vg.Name, "error", err)
	}
	report, err := m.pools.Report(ctx)
	if now, ok := report.VolumeGroup(vg.Name); err == nil && ok {
		return now
	}
	return vg
}

// extend is read → decide → act, under the group's lock. It returns what follows from the state that it leaves.
func (m *Monitor) extend(ctx context.Context, c config.Pool, before Before, plan Plan) Plan {
	unlock, err := m.pools.Lock(ctx, c.VolumeGroup)
	if err != nil {
		m.log.WarnContext(ctx, "thin pool not extended yet", "pool", c.Name, "error", err)
		return plan
	}
	defer unlock()
	report, err := m.pools.Report(ctx)
	vg, ok := report.VolumeGroup(c.VolumeGroup)
	if err != nil || !ok {
		return plan
	}
	plan = Assess(c, vg, before)
	if plan.Extend == nil {
		return plan
	}
	started := time.Now()
	if err := m.pools.LVM().ExtendPool(*plan.Extend); err != nil {
		m.log.ErrorContext(ctx, "thin pool not extended", "pool", c.Name, "error", err)
		plan.Close = true
		plan.Conditions = append(plan.Conditions, Condition{Pool: c.Name, Kind: NotExtended, Message: "the thin pool should be extended, and could not be: " + err.Error()})
		return plan
	}
	m.extended = true
	m.log.InfoContext(ctx, "thin pool extended", "pool", c.Name, "size", plan.Extend.Size.String(), "metadata", plan.Extend.MetadataSize.String(),
		"duration", time.Since(started).Round(time.Millisecond))
	if report, err = m.pools.Report(ctx); err != nil {
		return plan
	}
	if vg, ok = report.VolumeGroup(c.VolumeGroup); ok {
		plan = Assess(c, vg, before)
		plan.Close = true // once more at once: one step may not have been enough
	}
	return plan
}

// now are the conditions as they were told last.
func (m *Monitor) now() []Condition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conditions
}

// conclude remembers the conditions, and logs those that came and went.
func (m *Monitor) conclude(ctx context.Context, conditions []Condition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := map[condition]time.Time{}
	for _, c := range conditions {
		id := condition{c.Pool, c.Kind}
		since[id] = m.since[id]
		if since[id].IsZero() {
			since[id] = time.Now()
		}
		if !slices.Contains(m.conditions, c) {
			m.log.WarnContext(ctx, "pool needs attention", "pool", c.Pool, "condition", c.Kind, "message", c.Message)
		}
	}
	for id := range m.since {
		if _, stays := since[id]; !stays {
			m.log.InfoContext(ctx, "condition is over", "pool", id.pool, "condition", id.kind)
		}
	}
	m.conditions, m.since = conditions, since
}
