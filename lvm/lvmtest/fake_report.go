package lvmtest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// What a volume takes of a group's metadata text, and the text of a group without volumes: about as measured.
const (
	perVolume = 300
	perGroup  = 1100
)

// Report is as for lvm.LVM.
func (f *Fake) Report(ctx context.Context) (lvm.Report, error) {
	if err := ctx.Err(); err != nil {
		return lvm.Report{}, err
	}
	if empty, err := f.blind(); empty || err != nil {
		return lvm.Report{}, err
	}
	if err := f.begin("Report"); err != nil {
		return lvm.Report{}, err
	}
	if err := ctx.Err(); err != nil {
		return lvm.Report{}, fmt.Errorf("waiting for LVM's report: %w", err)
	}
	r := f.report()
	if f.Edit != nil {
		f.Edit(&r)
	}
	return r, nil
}

// blind says whether LVM may look at nothing, so that no process would run.
func (f *Fake) blind() (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.allowed) == 0 {
		return true, nil
	}
	return false, f.reachable()
}

func (f *Fake) report() lvm.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	var r lvm.Report
	for _, g := range f.groups {
		if slices.ContainsFunc(g.disks, f.visible) {
			r.VolumeGroups = append(r.VolumeGroups, f.describe(g))
		}
	}
	for _, d := range f.disks {
		if d.physical && d.vg == "" && f.visible(d) {
			r.Unused = append(r.Unused, lvm.PhysicalVolume{Device: d.path, UUID: d.uuid, Size: d.size, Free: d.size})
		}
	}
	slices.SortFunc(r.Unused, func(a, b lvm.PhysicalVolume) int { return strings.Compare(a.Device, b.Device) })
	slices.SortFunc(r.VolumeGroups, func(a, b lvm.VolumeGroup) int { return strings.Compare(a.Name, b.Name) })
	return r
}

func (f *Fake) describe(g *group) lvm.VolumeGroup {
	vg := lvm.VolumeGroup{
		Name: g.name, UUID: g.uuid, Tags: normal(g.tags), ExtentSize: g.extent,
		MetadataSize: g.metadataSize(), MetadataFree: g.metadataFree(),
	}
	for _, d := range g.disks {
		pv := lvm.PhysicalVolume{
			Device: d.path, UUID: d.uuid, Allocatable: true,
			Size: lvm.Bytes(d.extents) * g.extent, Free: lvm.Bytes(d.free) * g.extent,
		}
		if !f.visible(d) {
			pv.Device, pv.Missing = "[unknown]", true
			vg.MissingPVs++
			vg.Partial = true
		}
		vg.Size, vg.Free = vg.Size+pv.Size, vg.Free+pv.Free
		vg.PVs = append(vg.PVs, pv)
	}
	for _, v := range g.volumes {
		vg.LVs = append(vg.LVs, f.show(g, v))
	}
	slices.SortFunc(vg.LVs, func(a, b lvm.LogicalVolume) int { return strings.Compare(a.Name, b.Name) })
	return vg
}

func (f *Fake) show(g *group, v *volume) lvm.LogicalVolume {
	lv := v.LogicalVolume
	lv.Tags = slices.Clone(v.Tags)
	for d := range v.extents {
		if v.extents[d] > 0 && !f.visible(d) && lv.Health == lvm.Healthy {
			lv.Health = lvm.PartialLV
		}
	}
	if v.Segment == lvm.ThinPool {
		g.usage(&lv)
	}
	if !lv.Active {
		lv.Mapped, lv.MetadataUsed = 0, 0
	}
	return lv
}

// usage counts what a pool's volumes hold: each its own part, and 4 KiB of metadata besides the entries of its chunks.
func (g *group) usage(pool *lvm.LogicalVolume) {
	pool.MetadataUsed = 440 * lvm.KiB
	for _, v := range g.volumes {
		if v.Pool != pool.Name {
			continue
		}
		pool.Mapped += (v.Mapped - v.shared).RoundUp(pool.ChunkSize)
		pool.MetadataUsed += 4*lvm.KiB + v.Mapped/pool.ChunkSize*24
		pool.Open = pool.Open || v.Active
	}
	if pool.Mapped >= pool.Size && pool.Health == lvm.Healthy {
		pool.Health = lvm.OutOfData
	}
	pool.Mapped = min(pool.Mapped, pool.Size)
	pool.MetadataUsed = min(pool.MetadataUsed, pool.MetadataSize)
}

// metadataSize is that of the smallest area, which LVM begins 4 KiB into a device.
func (g *group) metadataSize() lvm.Bytes {
	least := g.disks[0].metadata
	for _, d := range g.disks {
		least = min(least, d.metadata)
	}
	return least - 4*lvm.KiB
}

// metadataFree is what the text may still grow: two copies of it must fit.
func (g *group) metadataFree() lvm.Bytes {
	return max(0, g.metadataSize()/2-512-perGroup-perVolume*lvm.Bytes(len(g.volumes)))
}

// Device is as for lvm.LVM.
func (f *Fake) Device(vg, lv string) (lvm.Device, error) {
	if err := lvm.CheckVolume(vg, lv); err != nil {
		return lvm.Device{}, err
	}
	if err := f.begin("Device"); err != nil {
		return lvm.Device{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.group(vg)
	if g == nil || g.volume(lv) == nil || !g.volume(lv).Active {
		return lvm.Device{}, fmt.Errorf("%s/%s: %w", vg, lv, lvm.ErrNoDevice)
	}
	v := g.volume(lv)
	d := lvm.Device{
		Path: f.devicePath(vg, lv), Major: 253, Minor: v.minor, UUID: v.UUID, Size: v.Size,
		Suspended: v.Suspended, OpenCount: v.opened,
	}
	if v.Segment == lvm.Thin {
		d.Mapped = v.Mapped
	}
	return d, nil
}

// Usage is as for lvm.LVM.
func (f *Fake) Usage(vg, pool string) (lvm.Usage, error) {
	if err := lvm.CheckVolume(vg, pool); err != nil {
		return lvm.Usage{}, err
	}
	if err := f.begin("Usage"); err != nil {
		return lvm.Usage{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.group(vg)
	if g == nil || g.volume(pool) == nil || !g.volume(pool).Active || g.volume(pool).Segment != lvm.ThinPool {
		return lvm.Usage{}, fmt.Errorf("%s/%s: %w", vg, pool, lvm.ErrNoDevice)
	}
	lv := f.show(g, g.volume(pool))
	return lvm.Usage{Data: lv.Mapped, Size: lv.Size, Metadata: lv.MetadataUsed, MetadataSize: lv.MetadataSize, Health: lv.Health}, nil
}

// Heal is as for lvm.LVM: nothing interrupts a Fake, so that there is nothing to mend.
func (f *Fake) Heal(_ context.Context, vg string) ([]lvm.Healed, error) {
	if err := lvm.CheckGroup(vg); err != nil {
		return nil, err
	}
	return nil, f.begin("Heal")
}

// BackUp keeps nothing.
func (f *Fake) BackUp(vg string, _ int64) error { return lvm.CheckGroup(vg) }

// LastBackup is none.
func (f *Fake) LastBackup(string) (lvm.Backup, bool) { return lvm.Backup{}, false }

// PlanRestore is lvm.ErrNoBackup.
func (f *Fake) PlanRestore(vg string, _ []string) (lvm.Restoration, error) {
	return lvm.Restoration{}, fmt.Errorf("volume group %s: %w", vg, lvm.ErrNoBackup)
}

func (f *Fake) devicePath(vg, lv string) string {
	if f.Dir != "" {
		return f.file(vg, lv)
	}
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	return "/dev/mapper/" + double(vg) + "-" + double(lv)
}
