package monitor

import (
	"context"
	"fmt"
	"slices"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
)

// fileSystems are the conditions of a pool's file systems, as of the last slow tick: each of them is a question to the kernel, and a look
// follows each volume that is made.
func (m *Monitor) fileSystems(ctx context.Context, c config.Pool, report lvm.Report) []Condition {
	known, asked := m.failed[c.Name]
	if !asked {
		known = assessFileSystems(m.failing(ctx, c, report))
		m.failed[c.Name] = known
	}
	return known
}

// failing are the volumes of a pool whose mounted file systems have failed.
func (m *Monitor) failing(ctx context.Context, c config.Pool, report lvm.Report) []pool.Volume {
	var volumes []pool.Volume
	var devices []lvm.Device
	for _, v := range pool.Volumes([]config.Pool{c}, report) {
		if v.Record.FS == "" || !v.LV.Open {
			continue
		}
		if d, err := m.pools.LVM().Device(v.Group, v.LV.Name); err == nil { // else no longer active
			volumes, devices = append(volumes, v), append(devices, d)
		}
	}
	if len(devices) == 0 {
		return nil
	}
	failed, err := filesystem.Failing(devices)
	if err != nil {
		m.log.ErrorContext(ctx, "cannot look at the mounted file systems", "error", err)
		return nil
	}
	return slices.DeleteFunc(volumes, func(v pool.Volume) bool {
		return !slices.ContainsFunc(failed, func(d lvm.Device) bool { return d.UUID == v.LV.UUID })
	})
}

// assessFileSystems tells of volumes whose file systems have failed, of the first by name. Nothing is done about them: a file
// system that stopped to save what it has is for a person to check.
func assessFileSystems(failed []pool.Volume) []Condition {
	if len(failed) == 0 {
		return nil
	}
	v, others := failed[0], ""
	if n := len(failed) - 1; n > 0 {
		others = fmt.Sprintf(", and so have those of %d more (`loam volume list`)", n)
	}
	name := v.LV.Name
	if v.Record.Claim != "" {
		name += " of claim " + v.Record.Claim
	}
	checker := map[string]string{string(filesystem.Ext4): "e2fsck -f", string(filesystem.XFS): "xfs_repair"}[v.Record.FS]
	return []Condition{{Pool: v.Pool, Kind: FileSystemFailed, Message: fmt.Sprintf(
		"the %s of volume %s has found errors%s: it may take no more writes, and is neither repaired nor mounted again by Loam. Look for errors of its disk in the "+
			"kernel's log; then stop its pods and `%s` the volume", v.Record.FS, name, others, checker)}}
}
