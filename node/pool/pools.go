package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/disk"
)

// ErrBusy says that another operation on the same volume group does not end.
var ErrBusy = errors.New("volume group is busy")

// ErrMissing says that a volume group misses physical volumes, or that they do not answer, so that LVM changes nothing in it.
var ErrMissing = errors.New("physical volumes are missing, or do not answer")

// ErrUnknown says that no pool of that name is configured.
var ErrUnknown = errors.New("no such pool")

// lockWait is how long one operation may have its turn in a volume group before those that wait for theirs give up.
const lockWait = 30 * time.Second

// Pools are the pools of this node. Its zero value is not usable; see New.
type Pools struct {
	Waited func(time.Duration) // told how long each turn in a volume group was waited for; set before use, nil for nobody

	lvm     LVM
	log     *slog.Logger
	scanner disk.Scanner

	// Of the one goroutine that brings pools up, as of its last look:
	seen       []disk.Inspected
	members    []string          // disks of our groups
	lookedWith map[string]string // the node's labels
	untaken    bool              // a free disk is left: it was silent, or came, or could not be taken yet, when the pools were brought up

	wipe    chan struct{} // a thick volume waits to be wiped
	changed chan struct{} // see Changed

	mu       sync.Mutex // guards what follows
	config   config.Config
	labels   map[string]string // of the node; see SetLabels
	queues   map[string]*queue // by volume group
	owned    map[string]string // UUIDs of our volume groups, by name
	known    map[string]Volume // by logical volume name: where it was last seen
	offered  map[string]offer  // by pool, as of the last report
	judged   []Judged
	problems map[string]error // by pool
	up       map[string]bool  // by pool
	healings []Healing
	healed   map[string]int // by volume group
	last     lvm.Report
	lastAt   time.Time
}

// New makes the pools of a node, none of which is up yet.
func New(l LVM, log *slog.Logger) *Pools {
	return &Pools{
		lvm: l, log: log, scanner: disk.Scanner{Unfinished: unfinished}, wipe: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		queues: map[string]*queue{}, known: map[string]Volume{}, problems: map[string]error{}, up: map[string]bool{},
		healed: map[string]int{},
	}
}

// Configure says what pools there are, without looking for them.
func (p *Pools) Configure(c config.Config) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = c
	p.tell()
}

// LVM is what the pools stand on.
func (p *Pools) LVM() LVM { return p.lvm }

// All are the configured pools.
func (p *Pools) All() []config.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config.Pools
}

// Named returns the pool of that name, all pools for an empty name. Errors: ErrUnknown.
func (p *Pools) Named(name string) ([]config.Pool, error) {
	all := p.All()
	if name == "" {
		return all, nil
	}
	for _, c := range all {
		if c.Name == name {
			return []config.Pool{c}, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknown, name)
}

// Lock takes the one lock there is, around read → decide → act in a volume group: in the order of asking, and for as long as
// the context lasts if only the others' turns end. Errors: ErrBusy when one's does not, or the context's.
func (p *Pools) Lock(ctx context.Context, vg string) (unlock func(), err error) {
	p.mu.Lock()
	q, ok := p.queues[vg]
	if !ok {
		q = &queue{turn: semaphore.NewWeighted(1)}
		p.queues[vg] = q
	}
	p.mu.Unlock()
	asked := time.Now()
	err = q.wait(ctx)
	if p.Waited != nil {
		p.Waited(time.Since(asked))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vg, err)
	}
	return q.end, nil
}

// queue is of those who want their turn in a volume group.
type queue struct {
	turn  *semaphore.Weighted
	ended atomic.Int64 // how many turns have
}

func (q *queue) wait(ctx context.Context) error {
	if q.turn.TryAcquire(1) {
		return nil
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go q.watch(ctx, giveUp)
	if err := q.turn.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	return nil
}

// watch has a wait end when a turn does not.
func (q *queue) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	for {
		ended := q.ended.Load()
		timer := time.NewTimer(lockWait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if q.ended.Load() == ended {
			giveUp(fmt.Errorf("%w for more than %v", ErrBusy, lockWait))
			return
		}
	}
}

func (q *queue) end() {
	q.ended.Add(1)
	q.turn.Release(1)
}

// Last is what was last seen of the pools, and when; the zero time before the first look. Nobody may change it.
func (p *Pools) Last() (lvm.Report, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.lastAt
}

// Report asks LVM, and remembers where each volume is.
func (p *Pools) Report(ctx context.Context) (lvm.Report, error) {
	report, news, err := p.read(ctx)
	if news {
		p.tell()
	}
	return report, err
}

// read is Report that tells nobody; news says whether there is something to tell.
func (p *Pools) read(ctx context.Context) (report lvm.Report, news bool, err error) {
	report, err = p.lvm.Report(ctx)
	if err != nil {
		return lvm.Report{}, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned == nil { // the disks were not looked at yet
		return report, p.learn(report), nil
	}
	report.VolumeGroups = slices.DeleteFunc(report.VolumeGroups, func(vg lvm.VolumeGroup) bool {
		uuid, ours := p.owned[vg.Name]
		return ours && uuid != vg.UUID // while all disks are looked at, a stranger's may be among them
	})
	report = p.withLost(report)
	return report, p.learn(report), nil
}

// learn notes where each volume is, and says whether a pool has more or less room than it had; its caller holds the mutex.
func (p *Pools) learn(report lvm.Report) (news bool) {
	p.last, p.lastAt = report, time.Now()
	clear(p.known)
	for _, v := range Volumes(p.config.Pools, report) {
		p.known[v.LV.Name] = v
	}
	before := p.offered
	p.offered = offers(p.config.Pools, report)
	return !maps.Equal(before, p.offered)
}

// Note remembers a volume that was just made or changed.
func (p *Pools) Note(v Volume) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[v.LV.Name] = v
	p.tell()
}

// Forget drops a volume that was just deleted.
func (p *Pools) Forget(lv string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, lv)
	p.tell()
}

// Recall says where a volume was last seen. It is a hint for finding it, never a fact to act on: the caller checks
// the device's UUID, or asks LVM.
func (p *Pools) Recall(lv string) (Volume, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.known[lv]
	return v, ok
}

// Find returns our volume of that name under the lock of its group, with the report that shows it there. found is
// false, and nothing is locked, when LVM knows none.
func (p *Pools) Find(ctx context.Context, lv string) (f Found, found bool, err error) {
	v, ok := p.Recall(lv)
	if !ok {
		report, err := p.Report(ctx)
		if err != nil {
			return Found{}, false, err
		}
		if v, ok = Find(p.All(), report, lv); !ok {
			return Found{}, false, nil
		}
	}
	unlock, err := p.Lock(ctx, v.Group)
	if err != nil {
		return Found{}, false, err
	}
	report, err := p.Report(ctx)
	if err != nil {
		unlock()
		return Found{}, false, err
	}
	v, ok = Find(p.All(), report, lv)
	if !ok {
		unlock()
		return Found{}, false, nil
	}
	f = Found{Volume: v, Report: report, Unlock: unlock}
	f.VG, _ = report.VolumeGroup(v.Group)
	if f.VG.MissingPVs > 0 {
		unlock()
		return Found{}, false, fmt.Errorf("%s: %w: %d of %d", v.Group, ErrMissing, f.VG.MissingPVs, len(f.VG.PVs))
	}
	for _, c := range p.All() {
		if c.Name == v.Pool {
			f.Config = c
		}
	}
	return f, true, nil
}

// Found is a volume that is held: nothing else changes its group until Unlock.
type Found struct {
	Volume
	Config config.Pool
	Report lvm.Report
	VG     lvm.VolumeGroup // its group in the report
	Unlock func()
}
