package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) diskCommand() *cobra.Command {
	disk := group("disk", "Show the disks of this node", "Disks are what pools are made of.")
	a.clientFlags(disk)
	disk.AddCommand(&cobra.Command{
		Use: "list", Short: "List every disk: which pool has it, or why none has",
		Long: `Lists every disk of this node with its state:

  taken     it is part of a pool
  free      the configuration names it, and the agent will take it
  refused   it stays as it is, for the reason given

A disk is only taken when the configuration names it, nothing is on it and nothing holds it.`,
		Example: "  loam disk list\n  loam disk list -o json | jq -r '.[] | select(.state == \"refused\") | .path + \": \" + .reason'",
		Args:    words(),
		RunE:    a.ask("list disks", a.listDisks),
	})
	return disk
}

func (a *app) listDisks(ctx context.Context, g *agent, _ []string) error {
	disks, err := g.admin.Disks(ctx)
	if err != nil {
		return err
	}
	a.warn(g.info)
	names := make([]string, 0, len(disks))
	t := table{titles: []string{"DISK", ">SIZE", "KIND", "MODEL", "STATE", "POOL", "REASON"}}
	for _, d := range disks {
		names = append(names, d.Path)
		t.add(d.Path, d.Size.String(), d.Kind, d.Model, string(d.State), d.Pool, d.Reason)
	}
	if len(disks) == 0 {
		a.hint("This node has no disks.")
		t.titles = nil
	}
	return a.print(disks, names, func(w io.Writer) { t.write(w) })
}

// warn tells of a configuration that is not in use, which would explain much of what follows.
func (a *app) warn(info admin.Info) {
	if info.ConfigProblem != "" {
		fmt.Fprintf(a.stderr, "warning: %s is not in use, but the last good version of it:\n  %s\n",
			info.ConfigPath, strings.ReplaceAll(info.ConfigProblem, "\n", "\n  "))
	}
}
