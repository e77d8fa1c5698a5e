package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/disk"
	"github.com/loam-storage/loam/node/volume"
)

// Judged is a disk and what was decided on it.
type Judged struct {
	disk.Inspected
	disk.Verdict
}

// Verdicts are all disks, as of the last look.
func (p *Pools) Verdicts() []Judged {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judged
}

// Problem says why a pool is not up; "" when it is.
func (p *Pools) Problem(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if problem := p.problems[name]; problem != nil {
		return problem.Error()
	}
	return ""
}

// IsElsewhere says whether a pool is not here, nor meant to be: its configuration chooses nodes by labels that this one lacks.
func (p *Pools) IsElsewhere(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Is(p.problems[name], errElsewhere)
}

// Problems that stay until disks, labels or the configuration change, so that nothing is tried again until then.
var (
	errNoDisk    = errors.New("no disk for it: none is free of those that its configuration names (loam disk list says why)")
	errElsewhere = errors.New("not for this node")
)

// BringUp makes the configured pools usable: it claims the disks that they may have, makes what is missing, grows what got
// more room, and activates what a reboot left inactive. What goes wrong with one pool is logged and told by Problem; the
// others come up all the same.
func (p *Pools) BringUp(ctx context.Context, c config.Config) {
	p.Configure(c)
	p.look(ctx)
}

// LookAgain is BringUp for the same configuration, unless nothing changed since: then it starts no process.
func (p *Pools) LookAgain(ctx context.Context) {
	seen, err := p.scanner.Scan(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.log.ErrorContext(ctx, "cannot look at the disks", "error", err)
		}
		return
	}
	if disk.Same(seen, p.seen) && !p.untaken && !p.troubled() && maps.Equal(p.lookedWith, p.nodeLabels()) {
		return
	}
	p.look(ctx)
}

// SetLabels says which labels the node has in Kubernetes, by which pools choose nodes to take disks of; nil, as long as nobody
// says, is a node without Kubernetes, which every pool may be on. The next LookAgain heeds it.
func (p *Pools) SetLabels(labels map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.labels = labels
}

func (p *Pools) nodeLabels() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.labels
}

func (p *Pools) isUp(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up[name]
}

// troubled says whether looking again may help though nothing has changed.
func (p *Pools) troubled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		if !errors.Is(problem, errNoDisk) && !errors.Is(problem, errElsewhere) {
			return true
		}
	}
	return false
}

func (p *Pools) look(ctx context.Context) {
	problems := map[string]error{}
	survey, err := p.survey(ctx)
	if err != nil {
		for _, c := range p.All() {
			problems[c.Name] = err
		}
	} else {
		for i, g := range disk.Groups(survey) {
			if err := p.bringUp(ctx, survey, survey.Pools[i], g); err != nil {
				problems[g.Pool] = err
			}
		}
		survey, err = p.survey(ctx) // as it is now
	}
	if ctx.Err() != nil {
		return // stopping: what was found is not the whole
	}
	if err != nil {
		p.log.ErrorContext(ctx, "cannot look at the disks", "error", err)
	}
	p.conclude(ctx, survey, problems)
}

// survey scans the disks and asks LVM about all that look like physical volumes, whosever they are: only reading.
func (p *Pools) survey(ctx context.Context) (disk.Survey, error) {
	seen, err := p.scanner.Scan(ctx)
	if err != nil {
		return disk.Survey{}, err
	}
	p.seen = seen
	p.lvm.SetDevices(p.candidates(seen))
	report, err := p.lvm.Report(ctx)
	if err != nil {
		return disk.Survey{}, err
	}
	s := disk.Survey{Disks: seen, Pools: p.All(), Report: report, Labels: p.nodeLabels()}
	p.lookedWith = s.Labels
	p.own(s)
	return s, nil
}

// own lets LVM see no more than the disks of our pools' groups from now on: a stranger may have a group of the same name.
func (p *Pools) own(s disk.Survey) {
	var members []string
	owned := map[string]string{}
	for _, g := range disk.Groups(s) {
		if g.Problem == "" && g.Exists {
			members = append(members, g.Devices...)
			owned[g.Name] = g.UUID
		}
	}
	p.members = members
	p.lvm.SetDevices(members)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned = owned
}

// candidates are the disks that LVM is asked about. A member of one of our groups stays among them as long as it is there,
// also when it did not answer this time: a look that failed must not make a volume group disappear.
func (p *Pools) candidates(seen []disk.Inspected) []string {
	paths := disk.Candidates(seen)
	for _, d := range seen {
		if d.Err != nil && slices.Contains(p.members, d.Path) {
			paths = append(paths, d.Path)
		}
	}
	return paths
}

// bringUp is read → decide → act for one pool, under its group's lock.
func (p *Pools) bringUp(ctx context.Context, s disk.Survey, c config.Pool, g disk.Group) error {
	if g.Problem != "" {
		return errors.New(g.Problem)
	}
	unlock, err := p.Lock(ctx, g.Name)
	if err != nil {
		return err
	}
	defer unlock()
	vg, ok, err := p.mendAndClaim(ctx, s, c, g)
	if err != nil {
		return err
	}
	if !ok {
		if err := p.forgotten(c); err != nil {
			return err
		}
		if s.Labels != nil && !c.Selects(s.Labels) {
			return fmt.Errorf("%w: it takes disks of nodes with the labels %s", errElsewhere, disk.Selector(c))
		}
		return errNoDisk
	}
	problem, note := unlike(c, vg)
	if problem != "" {
		return errors.New(problem)
	}
	if note != "" && !p.isUp(c.Name) {
		p.log.WarnContext(ctx, "not changed in place", "pool", c.Name, "reason", note)
	}
	return p.carryOut(ctx, planPool(c, vg))
}

// mendAndClaim returns the pool's group after what was wrong with it was mended and free disks were taken for it; ok is false when
// there is none.
func (p *Pools) mendAndClaim(ctx context.Context, s disk.Survey, c config.Pool, g disk.Group) (vg lvm.VolumeGroup, ok bool, err error) {
	ails := g.Exists && Ails(g.VG)
	if ails {
		err = p.heal(ctx, g.Name)
	}
	if err != nil {
		return vg, false, err
	}
	claimed, err := p.claim(ctx, s, c, g)
	if err != nil || !ails && !claimed {
		return g.VG, g.Exists, err
	}
	report, err := p.Report(ctx)
	vg, ok = report.VolumeGroup(g.Name)
	return vg, ok, err
}

// claim takes the free disks of a pool.
func (p *Pools) claim(ctx context.Context, s disk.Survey, c config.Pool, g disk.Group) (bool, error) {
	claimable, unfinished, doubts := p.claimable(ctx, s, c)
	step := planGroup(c, g.VG, g.Exists, claimable)
	switch {
	case step.create != nil:
		if err := p.forgotten(c); err != nil {
			return false, err
		}
	case len(step.extend) > 0:
	case g.Exists:
		return false, nil
	default:
		return false, doubts
	}
	p.members = append(p.members, claimable...)
	p.lvm.SetDevices(p.members)
	if len(unfinished) > 0 {
		p.log.WarnContext(ctx, "clearing physical volumes that an interrupted command left", "pool", c.Name, "disks", unfinished)
		if err := p.lvm.Clear(g.Name, unfinished...); err != nil {
			return false, err
		}
	}
	if step.create != nil {
		p.log.InfoContext(ctx, "making volume group", "pool", c.Name, "group", g.Name, "disks", claimable)
		return true, p.lvm.CreateGroup(*step.create)
	}
	p.log.InfoContext(ctx, "adding to volume group", "pool", c.Name, "group", g.Name, "disks", step.extend)
	return true, p.lvm.ExtendGroup(g.Name, pvMetadata, step.extend...)
}

// claimable are the free disks of a pool, each looked at once more, and those of them that an interrupted command left unfinished; doubts
// are why others are not among them this time.
func (p *Pools) claimable(ctx context.Context, s disk.Survey, c config.Pool) (paths, unfinished []string, doubts error) {
	for i, v := range disk.Assess(s) {
		if v.State != disk.Free || v.Pool != c.Name {
			continue
		}
		if err := p.scanner.Recheck(ctx, s.Disks[i].Disk); err != nil {
			p.log.WarnContext(ctx, "disk not claimed", "pool", c.Name, "error", err)
			doubts = errors.Join(doubts, err)
			continue
		}
		paths = append(paths, s.Disks[i].Path)
		if s.Disks[i].IsUnfinishedVolume() {
			unfinished = append(unfinished, s.Disks[i].Path)
		}
	}
	return paths, unfinished, doubts
}

func (p *Pools) carryOut(ctx context.Context, s poolStep) error {
	if len(s.remove) > 0 {
		p.log.WarnContext(ctx, "removing what an interrupted command left of a thin pool", "group", s.group, "volumes", s.remove)
		if err := p.lvm.Remove(s.group, s.remove...); err != nil {
			return err
		}
	}
	if s.create != nil {
		p.log.InfoContext(ctx, "making thin pool", "group", s.create.VG, "size", s.create.Size.String())
		if err := p.lvm.CreatePool(*s.create); err != nil {
			return err
		}
	}
	if s.extend != nil {
		p.log.InfoContext(ctx, "growing thin pool", "group", s.extend.VG, "size", s.extend.Size.String())
		if err := p.lvm.ExtendPool(*s.extend); err != nil {
			return err
		}
	}
	if len(s.activate) == 0 {
		return nil
	}
	p.log.InfoContext(ctx, "activating", "group", s.group, "volumes", len(s.activate))
	return p.lvm.Activate(s.group, s.activate...)
}

// conclude remembers what was found, and has wiped what an earlier agent did not get to wipe.
func (p *Pools) conclude(ctx context.Context, s disk.Survey, problems map[string]error) {
	isWiping := func(v Volume) bool { return v.Record.Kind == volume.Wiping }
	if slices.ContainsFunc(Volumes(s.Pools, s.Report), isWiping) {
		p.WipeSoon()
	}
	judged := make([]Judged, len(s.Disks))
	p.untaken = false
	for i, v := range disk.Assess(s) {
		judged[i] = Judged{s.Disks[i], v}
		p.untaken = p.untaken || v.State == disk.Free && v.Pool != ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.learn(p.withLost(s.Report)) {
		p.tell()
	}
	for name, problem := range problems {
		if before := p.problems[name]; before == nil || before.Error() != problem.Error() {
			p.log.ErrorContext(ctx, "pool is not up", "pool", name, "problem", problem)
		}
	}
	for _, c := range p.config.Pools {
		if _, bad := problems[c.Name]; !bad && !p.up[c.Name] {
			p.log.InfoContext(ctx, "pool is up", "pool", c.Name, "group", c.VolumeGroup)
		}
		p.up[c.Name] = problems[c.Name] == nil
	}
	p.judged, p.problems = judged, problems
}
