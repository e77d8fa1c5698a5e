package pool

import (
	"context"
	"slices"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Healing is something that was mended in a volume group.
type Healing struct {
	lvm.Healed
	Group string
	At    time.Time
}

// healingsKept bounds what Healings remembers.
const healingsKept = 20

// Healings are those since the agent started, the latest last, and at most some of them; count is how many there were.
func (p *Pools) Healings(group string) (last []Healing, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range p.healings {
		if h.Group == group {
			last = append(last, h)
		}
	}
	return last, p.healed[group]
}

// Ails says whether a group has what an interrupted command of LVM leaves, and Heal may mend.
func Ails(vg lvm.VolumeGroup) bool {
	return !vg.Silent() && slices.ContainsFunc(vg.LVs, func(lv lvm.LogicalVolume) bool { return lv.Suspended || lv.Stale || lv.Pending })
}

// Heal mends a group under its lock, and logs and remembers what was done.
func (p *Pools) Heal(ctx context.Context, group string) error {
	unlock, err := p.Lock(ctx, group)
	if err != nil {
		return err
	}
	defer unlock()
	return p.heal(ctx, group)
}

// heal is Heal for who has the lock.
func (p *Pools) heal(ctx context.Context, group string) error {
	healed, err := p.lvm.Heal(ctx, group)
	for _, h := range healed {
		p.log.WarnContext(ctx, "healed", "group", group, "volume", h.Volume, "what", h.What)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range healed {
		p.healings = append(p.healings, Healing{h, group, time.Now()})
	}
	p.healings = slices.Clone(p.healings[max(0, len(p.healings)-healingsKept):])
	p.healed[group] += len(healed)
	if len(healed) > 0 {
		p.tell()
	}
	return err
}
