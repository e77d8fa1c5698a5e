package node

import (
	"slices"

	"github.com/prometheus/procfs/blockdevice"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/metrics"
	"github.com/loam-storage/loam/node/monitor"
	"github.com/loam-storage/loam/node/pool"
)

// measured is what the agent's metrics are collected from.
func measured(pools *pool.Pools, watch *monitor.Monitor, numbers func() (lvm.Numbers, error)) metrics.Source {
	here := func() []config.Pool {
		return slices.DeleteFunc(slices.Clone(pools.All()), func(p config.Pool) bool { return pools.IsElsewhere(p.Name) })
	}
	return metrics.Source{
		Pools: here, Last: pools.Last, Problem: pools.Problem, Numbers: numbers,
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
	}
}
