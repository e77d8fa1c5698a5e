package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/bench/pool"
)

func (a *app) benchNeighbours() *cobra.Command {
	var p benchPool
	var numbers []int
	cmd := &cobra.Command{
		Use: "neighbours --pool POOL", Short: "Measure a volume beside others that write all they can",
		Long: `Runs the same jobs on a volume of the pool while 0, 1, 2 and 4 others are written at full speed, and
shows what becomes of its latency. The volumes are the command's own and as large as --size says, so
that the pool does not fill however much is written; they are removed as those of loam bench layers.`,
		Example: `  loam bench neighbours --pool fast
  loam bench neighbours --pool fast --neighbours 0,8 --profile etcd`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := pool.CheckNeighbours(numbers); err != nil {
				return usage("--neighbours %w", err)
			}
			return p.run(cmd.Context(), a, bench.OfNeighbours, func(ctx context.Context, plan pool.Plan) ([]bench.Stage, error) {
				return pool.Neighbours(ctx, plan, numbers)
			})
		},
	}
	cmd.Flags().IntSliceVar(&numbers, "neighbours", []int{0, 1, 2, 4}, "how many `NUMBERS` of them there are, in turn")
	p.flags(a, cmd)
	return cmd
}
