package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/cluster"
	"github.com/loam-storage/loam/node"
)

// shown is how many findings, and how many nodes, fit on one screen.
const shown = 8

func (a *app) clusterStatus(o *clusterOptions) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use: "status", Short: "Show on one screen how Loam does: what is wrong, and what to type next",
		Long: `Shows Loam's parts, the pools of all nodes added up, and what is wrong, the worst first, each with the
command to type next. Nodes that are well are counted; --all lists them and leaves nothing out.

Looked at are agents and nodes, the controller and its sidecars, the scheduler extender, the
configuration, disks that the configuration names, pools, volumes, what PersistentVolumes name, and
whether capacity is published to kube-scheduler.`,
		Args: words(),
		RunE: a.inCluster(o, "show the status", func(ctx context.Context, r reached, _ []string) error {
			status := cluster.Assess(r.survey(ctx, "", cluster.StatusKinds()...))
			if err := a.print(status, nil, func(w io.Writer) { writeStatus(w, status, all) }); err != nil {
				return err
			}
			return partial(status.Gaps, !status.Complete() && len(status.Gaps) == 0)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "every node, and everything that is wrong")
	return cmd
}

func writeStatus(w io.Writer, s cluster.Status, all bool) {
	var head sheet
	head.add("Loam", cmp.Or(strings.Join(s.Versions, " and "), "of unknown version")+", namespace "+s.Namespace)
	for _, p := range s.Parts {
		text := fmt.Sprintf("%d of %d ready", p.Ready, p.Wanted)
		if p.Name == "agents" {
			text += fmt.Sprintf(", %d answered", s.Answered)
		}
		head.add(strings.ToUpper(p.Name[:1])+strings.ReplaceAll(p.Name[1:], "-", " "), text)
	}
	volumes := count(s.Volumes, "volume") + " and " + count(s.Snapshots, "snapshot")
	if s.Orphans > 0 {
		volumes += fmt.Sprintf("; %d without a PersistentVolume", s.Orphans)
	}
	switch {
	case s.Answered == 0:
		volumes = "not known"
	case !s.Complete():
		volumes += ", of the agents that answered"
	}
	head.add("Volumes", volumes)
	head.write(w)
	if len(s.Pools) > 0 {
		fmt.Fprintln(w)
		writePoolSums(w, s.Pools)
	}
	writeNodes(w, s.Nodes, all)
	writeFindings(w, s, all)
}

func writePoolSums(w io.Writer, pools []cluster.PoolSum) {
	t := table{titles: []string{"POOL", "TYPE", ">NODES", ">READY", ">SIZE", ">USED", ">PROMISED", ">AVAILABLE", ">LARGEST"}}
	for _, p := range pools {
		t.add(p.Name, strings.Join(p.Types, ","), fmt.Sprint(p.Nodes), fmt.Sprint(p.Ready), p.Size.String(), p.Used.String(), p.Promised.String(), p.Available.String(), p.Largest.String())
	}
	t.write(w)
}

// writeNodes lists those that are not well, as many as fit, or all.
func writeNodes(w io.Writer, nodes []cluster.NodeRow, all bool) {
	t := table{titles: []string{"NODE", "STATE", "AGENT", "POOLS", ">VOLUMES", ">SIZE", ">USED", ">AVAILABLE"}}
	well, more := 0, 0
	for _, n := range nodes {
		switch {
		case n.Severity == "" && !all:
			well++
			continue
		case len(t.rows) >= shown && !all:
			more++
			continue
		}
		state := "ok"
		if n.Severity != "" {
			state = string(n.Severity)
		}
		if n.Version == "" {
			t.add(n.Node, state, "-", "-", "-", "-", "-", "-")
			continue
		}
		t.add(n.Node, state, n.Version, strings.Join(n.Pools, ","), fmt.Sprint(n.Volumes), n.Size.String(), n.Used.String(), n.Available.String())
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(w)
		t.write(w)
	}
	if more > 0 {
		fmt.Fprintf(w, "… and %s that is not well (--all)\n", count(more, "node"))
	}
	if well > 0 {
		fmt.Fprintf(w, "\n%s well.\n", areOf(well, len(nodes)))
	}
}

// areOf is "All 5 nodes are" or "3 of 5 nodes are".
func areOf(well, all int) string {
	switch {
	case all == 1:
		return "The only node is"
	case well == all:
		return fmt.Sprintf("All %d nodes are", all)
	case well == 1:
		return fmt.Sprintf("1 of %d nodes is", all)
	}
	return fmt.Sprintf("%d of %d nodes are", well, all)
}

func writeFindings(w io.Writer, s cluster.Status, all bool) {
	if len(s.Findings) == 0 && len(s.Gaps) == 0 {
		return
	}
	fmt.Fprintln(w)
	for _, g := range s.Gaps {
		fmt.Fprintf(w, "not known: %s: %s\n", g.What, oneCell(g.Why))
	}
	for i, f := range s.Findings {
		if i == shown && !all {
			fmt.Fprintf(w, "… and %s more (--all)\n", count(len(s.Findings)-i, "thing"))
			return
		}
		on := ""
		if len(f.Nodes) > 0 {
			on = some(f.Nodes) + ": "
		}
		fmt.Fprintf(w, "%s: %s%s\n    %s\n", f.Severity, oneCell(on), oneCell(f.What), f.Next)
	}
}

// oneCell is text from elsewhere as it may stand in a line; "" stays.
func oneCell(s string) string {
	if s == "" {
		return ""
	}
	return cell(s)
}

func (a *app) clusterVersion(o *clusterOptions) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this binary, and of all agents",
		Args: words(),
		RunE: a.inCluster(o, "show the versions", func(ctx context.Context, r reached, _ []string) error {
			s := r.survey(ctx, "", cluster.Nodes, cluster.Own)
			versions := cluster.Versions(s)
			err := a.print(versions, nil, func(w io.Writer) {
				var sh sheet
				sh.add(plugin, node.Version()+", "+runtime.Version())
				for _, v := range versions {
					sh.add("agents", fmt.Sprintf("%s on %s", v.Version, some(v.Nodes)))
				}
				sh.write(w)
			})
			if err != nil {
				return err
			}
			return a.incomplete(s)
		}),
	}
}
