package main

import (
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/bench/pool"
)

func (a *app) benchLayers() *cobra.Command {
	var p benchPool
	cmd := &cobra.Command{
		Use: "layers --pool POOL", Short: "Measure what each layer of a pool costs, from the raw disk to a file system",
		Long: `Runs the same jobs in every layer of a pool:

  raw                 extents of the disk itself, past device-mapper
  thick               the same extents, as a linear volume
  striped             a volume across disks, where the pool has several
  thin, preallocated  a thin volume of which all was written before
  thin, first write   one of which nothing was: the pool allocates and zeroes
  after a snapshot    one whose blocks a snapshot shares: the pool copies
  ext4, xfs on thin   a file on a file system

Each is told as a ratio to the layer beneath it, with the interval that holds the true one in 95 of
100 cases. A layer that cannot be measured says why.

The volumes are the command's own, are nobody's for the agent, and are removed when it ends, also when
it is interrupted; what a killed one left, the next one removes. Nothing begins without room: a pool is
not brought to where the agent extends it or warns of it. Volumes of others are slower meanwhile.`,
		Example: `  loam bench layers --pool fast
  loam bench layers --pool fast --profile full --json layers.json`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.run(cmd.Context(), a, bench.OfLayers, pool.Layers)
		},
	}
	p.flags(a, cmd)
	return cmd
}
