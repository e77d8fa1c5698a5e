package node

import (
	"context"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/capacity"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/csi"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// operator answers an operator's questions (package admin). It changes nothing and holds no lock of a volume group.
type operator struct {
	options   Options
	pools     *pool.Pools
	config    *config.Watcher
	monitor   *monitor.Monitor
	publisher *capacity.Publisher
	up        func() bool // the pools were brought up once
}

// Info implements admin.Source.
func (o operator) Info() admin.Info {
	return admin.Info{
		Node: o.options.NodeID, Version: Version(), Driver: csi.Name, KubeletDir: o.options.KubeletDir, CSISocket: o.options.Socket,
		ConfigPath: o.options.ConfigPath, ConfigProblem: words(o.config.Problem()),
		CapacityProblem: words(o.publisher.Problem()),
	}
}

// Disks implements admin.Source: what the last look at the disks found.
func (o operator) Disks(context.Context) ([]admin.Disk, error) {
	if !o.up() {
		return nil, admin.ErrStarting
	}
	var all []admin.Disk
	for _, v := range o.pools.Verdicts() {
		d := admin.Disk{
			Path: v.Path, Size: v.Size, Kind: string(v.Kind), Model: v.Model, Serial: v.Serial,
			State: admin.DiskState(v.State), Pool: v.Pool, VolumeGroup: v.VolumeGroup, Reason: v.Reason(),
			Links: v.Links, Unnamed: v.Unnamed,
		}
		all = append(all, d)
	}
	return all, nil
}

// Pools implements admin.Source.
func (o operator) Pools(ctx context.Context) ([]admin.Pool, error) {
	var all []admin.Pool
	if !o.up() {
		for _, p := range o.pools.All() {
			all = append(all, admin.Pool{Name: p.Name, Type: string(p.Type), VolumeGroup: p.VolumeGroup, Problem: admin.ErrStarting.Error()})
		}
		return all, nil
	}
	report, err := o.pools.Report(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range o.pools.All() {
		all = append(all, describePool(p, report, o.pools.Problem(p.Name)))
	}
	for i := range all {
		last, count := o.pools.Healings(all[i].VolumeGroup)
		all[i].HealedCount = count
		for _, h := range last {
			all[i].Healed = append(all[i].Healed, admin.Healing{Volume: h.Volume, What: h.What, At: h.At})
		}
	}
	for _, c := range o.monitor.Conditions() {
		for i := range all {
			if all[i].Name == c.Pool {
				all[i].Conditions = append(all[i].Conditions, admin.Condition{Kind: string(c.Kind), Since: c.Since, Message: c.Message})
			}
		}
	}
	return all, nil
}

func describePool(p config.Pool, report lvm.Report, problem string) admin.Pool {
	a := admin.Pool{Name: p.Name, Type: string(p.Type), VolumeGroup: p.VolumeGroup, Problem: problem}
	vg, ok := report.VolumeGroup(p.VolumeGroup)
	if !ok {
		if a.Problem == "" {
			a.Problem = "volume group " + p.VolumeGroup + " does not exist: no disk was taken for it yet"
		}
		return a
	}
	room := pool.Space(p, vg)
	a.Size, a.Used, a.Promised, a.Available, a.Largest = room.Size, room.Used, room.Promised, room.Available, room.Largest
	a.DataPercent, a.MetadataPercent = room.DataPercent(), room.MetadataPercent
	if lost := vg.MissingPVs > 0 && vg.MissingPVs == len(vg.PVs); room.Problem != "" && (!lost || a.Problem == "") { // what to do about a lost one is in its problem
		a.Problem = room.Problem
	}
	a.Ready = a.Problem == ""
	if lv, ok := pool.ThinPool(vg); ok && p.Type == config.Thin {
		a.ThinPool, a.ExtendAt = lv.Name, min(p.Thin.Extend.At.Of(lv.Size), lv.Size*monitor.Nearly/100)
	}
	for _, pv := range vg.PVs {
		a.Devices = append(a.Devices, pv.Device)
	}
	a.Others = others(vg, a.ThinPool)
	for _, v := range pool.Volumes([]config.Pool{p}, report) {
		switch v.Record.Kind {
		case volume.Volume:
			a.Volumes++
		case volume.Snapshot:
			a.Snapshots++
		}
	}
	return a
}

// others counts what is neither a volume or snapshot of ours nor the thin pool.
func others(vg lvm.VolumeGroup, thinPool string) (n int) {
	for _, lv := range vg.LVs {
		if _, ours := volume.Read(lv); !ours && !lv.Hidden && lv.Name != thinPool {
			n++
		}
	}
	return n
}

// Volumes implements admin.Source.
func (o operator) Volumes(ctx context.Context) ([]admin.Volume, error) {
	if !o.up() {
		return nil, admin.ErrStarting
	}
	report, err := o.pools.Report(ctx)
	if err != nil {
		return nil, err
	}
	var all []admin.Volume
	for _, v := range pool.Volumes(o.pools.All(), report) {
		if v.Record.Kind == volume.Wiping {
			continue
		}
		described, err := o.describeVolume(v)
		if err != nil {
			return nil, err
		}
		all = append(all, described)
	}
	return all, nil
}

func (o operator) describeVolume(v pool.Volume) (admin.Volume, error) {
	a := admin.Volume{
		ID: volume.ID{Node: o.options.NodeID, LV: v.LV.Name}.String(), Name: v.Record.Name, LV: v.LV.Name,
		Kind: admin.Kind(v.Record.Kind), Pool: v.Pool, VolumeGroup: v.Group, Size: v.LV.Size, Used: v.LV.Size,
		FS: v.Record.FS, Claim: v.Record.Claim, Source: v.Record.Source, Created: v.LV.Created, Active: v.LV.Active, Health: healthOf(v),
	}
	if v.LV.Segment == lvm.Thin {
		a.Used = v.LV.Mapped
	}
	if v.IsSnapshot() {
		a.Used = v.Record.Mapped
	}
	device, err := o.pools.LVM().Device(v.Group, v.LV.Name)
	if err != nil {
		return a, nil //nolint:nilerr // not active: mounted nowhere
	}
	a.Device = device.Path
	mounts, err := filesystem.MountsOf(device.Major, device.Minor)
	for _, m := range mounts {
		a.Mounts = append(a.Mounts, m.Target)
		if failed, err := m.Failed(); err == nil && failed && a.Health == "" {
			a.Health = "its file system has found errors and may take no more writes"
		}
	}
	return a, err
}

// healthOf says what is wrong with a volume, as far as LVM knows.
func healthOf(v pool.Volume) string {
	switch {
	case v.LV.Health == lvm.PartialLV:
		return "a disk that it is on is missing"
	case v.LV.Suspended:
		return "suspended: whoever reads or writes it hangs"
	case !v.LV.Active && !v.IsSnapshot():
		return "not active"
	}
	return string(v.LV.Health)
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Restoration implements admin.Source.
func (o operator) Restoration(_ context.Context, name string) (admin.Restoration, error) {
	if !o.up() {
		return admin.Restoration{}, admin.ErrStarting
	}
	c, plan, err := o.pools.PlanRestore(name)
	if err != nil {
		return admin.Restoration{}, err
	}
	a := admin.Restoration{
		Pool: c.Name, VolumeGroup: c.VolumeGroup, Backup: plan.Backup.Path, Change: plan.Backup.Change, Created: plan.Backup.Created,
		Commands: plan.Commands,
	}
	for _, d := range plan.Devices {
		a.Devices = append(a.Devices, admin.RestorationDevice{Path: d.Device, UUID: d.UUID, Found: d.Found, Repair: d.Repair})
	}
	return a, nil
}
