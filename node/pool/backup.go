package pool

import (
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
)

// BackUp keeps a text copy of the metadata of every pool's group in a report, and returns what went wrong, by pool.
func (p *Pools) BackUp(report lvm.Report) map[string]error {
	failed := map[string]error{}
	for _, c := range p.All() {
		if vg, ok := report.VolumeGroup(c.VolumeGroup); ok {
			if err := p.lvm.BackUp(vg.Name, vg.Seqno); err != nil {
				failed[c.Name] = err
			}
		}
	}
	return failed
}

// PlanRestore says how the metadata of a pool's disks could be made what they were. It changes nothing.
func (p *Pools) PlanRestore(name string) (config.Pool, lvm.Restoration, error) {
	named, err := p.Named(name)
	if err != nil {
		return config.Pool{}, lvm.Restoration{}, err
	}
	var disks []string
	for _, d := range p.Verdicts() {
		disks = append(disks, d.Path)
	}
	plan, err := p.lvm.PlanRestore(named[0].VolumeGroup, disks)
	return named[0], plan, err
}

// withLost adds to a report the groups of pools that LVM does not see any more, and that held volumes by the last copy of their
// metadata: that their disks do not answer must not make volumes seem to be deleted. Its caller holds the mutex.
func (p *Pools) withLost(report lvm.Report) lvm.Report {
	for _, c := range p.config.Pools {
		if _, ok := report.VolumeGroup(c.VolumeGroup); ok {
			continue
		}
		if backup, ok := p.lvm.LastBackup(c.VolumeGroup); ok && backup.Volumes > 0 {
			report.VolumeGroups = append(report.VolumeGroups, backup.Lost())
		}
	}
	return report
}

// forgotten refuses to make a group anew where there was one with volumes: its disks may look blank because something overwrote
// their beginnings, and the rest of them be as it was.
func (p *Pools) forgotten(c config.Pool) error {
	backup, ok := p.lvm.LastBackup(c.VolumeGroup)
	if !ok || backup.Volumes == 0 {
		return nil
	}
	return fmt.Errorf("volume group %s is gone, and held volumes (%d of them) on %s: it is not made anew. `loam pool restore-metadata --dry-run %s` shows how to "+
		"get it back; to begin with an empty pool, remove %[5]s and %[5]s~*", c.VolumeGroup, backup.Volumes, backup.Created.Format("2006-01-02 15:04:05"), c.Name, backup.Path)
}
