package pool

import (
	"context"
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
)

// Changed delivers after anything that may have changed what Rooms says: a volume made, grown, deleted or wiped, another
// configuration, or a report in which a pool has more or less room than in the one before. It is for one receiver; what
// changes before that receives is told once.
func (p *Pools) Changed() <-chan struct{} { return p.changed }

// tell never blocks.
func (p *Pools) tell() {
	select {
	case p.changed <- struct{}{}:
	default: // already told
	}
}

// Rooms asks LVM, and says what each configured pool can still give, by the pool's name. A pool without its volume group
// has no size, and its Problem says so. Errors: LVM's; and that of the disks not having been looked at yet, without which
// every volume group would seem to be gone.
func (p *Pools) Rooms(ctx context.Context) (map[string]Room, error) {
	if err := p.blind(); err != nil {
		return nil, err
	}
	report, _, err := p.read(ctx) // without telling: the one that is told is the one that asks
	if err != nil {
		return nil, err
	}
	return rooms(p.All(), report), nil
}

func (p *Pools) blind() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owned != nil {
		return nil
	}
	for name, problem := range p.problems {
		return fmt.Errorf("pool %s is not up: %w", name, problem)
	}
	return nil
}

func rooms(pools []config.Pool, report lvm.Report) map[string]Room {
	all := make(map[string]Room, len(pools))
	for _, c := range pools {
		vg, ok := report.VolumeGroup(c.VolumeGroup)
		if !ok {
			all[c.Name] = Room{Problem: fmt.Sprintf("volume group %s does not exist", c.VolumeGroup)}
			continue
		}
		all[c.Name] = Space(c, vg)
	}
	return all
}

// offer is what of a Room is worth telling: how much of a thin pool is in use changes with every write to a volume.
type offer struct{ size, available, largest lvm.Bytes }

func offers(pools []config.Pool, report lvm.Report) map[string]offer {
	all := make(map[string]offer, len(pools))
	for name, r := range rooms(pools, report) {
		all[name] = offer{r.Size, r.Available, r.Largest}
	}
	return all
}
