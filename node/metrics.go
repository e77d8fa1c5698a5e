package node

import (
	"slices"

	"github.com/prometheus/procfs/blockdevice"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/capacity"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/pressure"
)

// measured is what the agent's metrics are collected from.
func measured(pools *pool.Pools, watch *monitor.Monitor, publisher *capacity.Publisher, numbers func() (lvm.Numbers, error)) metrics.Source {
	var fullness filesystem.Fullness
	cgroups := pressure.Cgroups{Folder: "/sys/fs/cgroup"}
	here := func() []config.Pool {
		return slices.DeleteFunc(slices.Clone(pools.All()), func(p config.Pool) bool { return pools.IsElsewhere(p.Name) })
	}
	return metrics.Source{
		Pools: here, Last: pools.Last, Problem: pools.Problem, Published: publisher.Published,
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
			return fileSystems(mounted, &cgroups), err
		},
		Pressure: func() (metrics.Pressure, error) {
			t, err := pressure.Node()
			return metrics.Pressure(t), err
		},
	}
}

// fileSystems are those that are mounted, with the pods that have them.
func fileSystems(mounted []filesystem.Mounted, cgroups *pressure.Cgroups) []metrics.FileSystem {
	users := make([][]string, len(mounted))
	var pods []string
	for i, m := range mounted {
		for _, target := range m.Targets {
			if uid, ok := pressure.PodOf(target); ok && !slices.Contains(users[i], uid) { // a pod may have it mounted twice
				users[i] = append(users[i], uid)
			}
		}
		pods = append(pods, users[i]...)
	}
	times := cgroups.Pods(pods)
	all := make([]metrics.FileSystem, len(mounted))
	for i, m := range mounted {
		all[i] = metrics.FileSystem{
			Major: m.Major, Minor: m.Minor, Size: m.Usage.Total, Available: m.Usage.Available, Used: m.Usage.Used,
			Files: m.Usage.Inodes, FilesFree: m.Usage.InodesFree,
		}
		for _, uid := range users[i] {
			if t, known := times[uid]; known { // else a node without such figures
				all[i].Pods = append(all[i].Pods, metrics.Pod{UID: uid, Pressure: metrics.Pressure(t)})
			}
		}
	}
	return all
}
