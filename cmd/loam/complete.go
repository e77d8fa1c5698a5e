package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

// names asks the agent for what may stand in some place of a command line.
type names func(context.Context, *agent) ([]string, error)

// completeFirst offers the names that the agent knows for the first argument, and files for none. An agent that does not
// answer soon offers nothing: a shell has no place for its reasons.
func (a *app) completeFirst(ask names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.offer(cmd, ask), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag offers the names that the agent knows for a flag.
func (a *app) completeFlag(ask names) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.offer(cmd, ask), cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) offer(cmd *cobra.Command, ask names) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), answerSoon)
	defer cancel()
	var found []string
	err := a.connect(ctx, func(g *agent) (err error) {
		found, err = ask(ctx, g)
		return err
	})
	if err != nil {
		cobra.CompDebugln(err.Error(), false)
		return nil
	}
	return found
}

func (a *app) poolNames(ctx context.Context, g *agent) ([]string, error) {
	pools, err := g.admin.Pools(ctx)
	found := make([]string, 0, len(pools))
	for _, p := range pools {
		found = append(found, p.Name+"\t"+p.Available.String()+" available")
	}
	return found, err
}

func (a *app) volumeNames(kinds ...admin.Kind) names {
	return func(ctx context.Context, g *agent) ([]string, error) {
		volumes, err := g.admin.Volumes(ctx)
		found := make([]string, 0, len(volumes))
		for _, v := range only(volumes, kinds...) {
			found = append(found, v.Name+"\t"+string(v.Kind)+", "+v.Size.String())
		}
		return found, err
	}
}
