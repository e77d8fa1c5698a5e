package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "report", Short: "Print all that the agent knows, as JSON",
		Long: `Prints one JSON object: info (which agent answers, its configuration), disks, pools and volumes, with
the keys that ` + "`loam help output`" + ` lists. A part that the agent could not tell is null, and problems says
why. ` + "`kubectl loam`" + ` runs this in each agent's pod.`,
		Example: "  loam report | jq '.pools[] | {name, available}'",
		Args:    words(),
		RunE: a.ask("report", func(ctx context.Context, g *agent, _ []string) error {
			report, err := g.admin.Report(ctx)
			if err != nil {
				return err
			}
			return json.NewEncoder(a.stdout).Encode(report)
		}),
	}
	cmd.Flags().DurationVar(&a.timeout, "timeout", 2*time.Minute, "longest wait for an answer")
	return cmd
}
