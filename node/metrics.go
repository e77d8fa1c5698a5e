package node

import (
	"slices"

	"github.com/prometheus/procfs/blockdevice"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/pressure"
)

// measured is what the agent's metrics are collected from.
func measured(pools *pool.Pools, watch *monitor.Monitor, numbers func() (lvm.Numbers, error)) metrics.Source {
	var fullness filesystem.Fullness
	here := func() []config.Pool {
		return slices.DeleteFunc(slices.Clone(pools.All()), func(p config.Pool) bool { return pools.IsElsewhere(p.Name) })
	}
	return metrics.Source{
		Pools: here, Last: pools.Last, Problem: pools.Problem,
		Numbers: func() (metrics.Numbers, error) {
			all, err := numbers()
			return all.Of, err
		},
		Healed: func(group string) int {
			_, count := pools.Healings(group)
			return count
		},
		Conditions: func() (all []metrics.Condition) {
			for _, c := range watch.Conditions() {
				all = append(all, metrics.Condition{Pool: c.Pool, Kind: string(c.Kind), Since: c.Since})
			}
			return all
		},
		Disks: func() ([]blockdevice.Diskstats, error) {
			fs, err := blockdevice.NewDefaultFS()
			if err != nil {
				return nil, err
			}
			return fs.ProcDiskstats()
		},
		FileSystems: func(ours func(major, minor uint32) bool) ([]metrics.FileSystem, error) {
			mounted, err := fullness.Of(ours)
			var all []metrics.FileSystem
			for _, m := range mounted {
				all = append(all, fileSystem(m))
			}
			return all, err
		},
		Pressure: func() (metrics.Pressure, error) {
			t, err := pressure.Node()
			return metrics.Pressure(t), err
		},
	}
}

func fileSystem(m filesystem.Mounted) metrics.FileSystem {
	f := metrics.FileSystem{
		Major: m.Major, Minor: m.Minor, Size: m.Usage.Total, Available: m.Usage.Available, Used: m.Usage.Used,
		Files: m.Usage.Inodes, FilesFree: m.Usage.InodesFree,
	}
	told := map[string]bool{} // a pod may have it mounted twice
	for _, target := range m.Targets {
		uid, ok := pressure.PodOf(target)
		if !ok || told[uid] {
			continue
		}
		told[uid] = true
		if t, err := pressure.Cgroups("/sys/fs/cgroup").Pod(uid); err == nil { // else a node without such figures
			f.Pods = append(f.Pods, metrics.Pod{UID: uid, Pressure: metrics.Pressure(t)})
		}
	}
	return f
}
