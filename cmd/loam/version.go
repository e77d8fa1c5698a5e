package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node"
)

// answerSoon bounds a question that is worth no wait: completion, and which agent there is.
const answerSoon = 2 * time.Second

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this binary, and of the agent if one answers",
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			s.add("loam", node.Version()+", "+runtime.Version())
			ctx, cancel := context.WithTimeout(cmd.Context(), answerSoon)
			defer cancel()
			s.add("agent", a.agentVersion(ctx))
			s.write(a.stdout)
			return nil
		},
	}
}

func (a *app) agentVersion(ctx context.Context) string {
	var version string
	err := a.connect(ctx, func(g *agent) error {
		version = fmt.Sprintf("%s, node %s, on %s", g.info.Version, g.info.Node, a.socket)
		return nil
	})
	if f, ok := errors.AsType[failure](a.fail(ctx, "ask the agent", err)); ok {
		return f.Error()
	}
	return version
}
