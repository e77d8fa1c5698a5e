package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/cluster"
)

// onNode adds --node, which completes itself.
func (a *app) onNode(cmd *cobra.Command, o *clusterOptions, on *string) {
	cmd.Flags().StringVar(on, "node", "", "only `NODE`")
	must(cmd.RegisterFlagCompletionFunc("node", a.completeInCluster(o, (*cluster.Client).NodeNames)))
}

// completeInCluster offers names that the cluster has. One that does not answer soon offers nothing.
func (a *app) completeInCluster(o *clusterOptions, ask func(*cluster.Client, context.Context) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), answerSoon)
		defer cancel()
		r, err := a.reach(*o)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ask(r.Client, ctx), cobra.ShellCompDirectiveNoFileComp
	}
}

// diskOptions are the flags of `kubectl loam disks`.
type diskOptions struct {
	node, pool string
	init       bool
}

func (a *app) clusterDisks(o *clusterOptions) *cobra.Command {
	var d diskOptions
	cmd := &cobra.Command{
		Use: "disks", Short: "List the disks of all nodes: which pool has each, or why none has",
		Long: `Lists every disk with its state (taken, free, refused) and the reason, as ` + "`loam disk list`" + ` does on a node.

--init prints the chart's values with which all disks that are blank, unused and named by no
configuration would go to a pool: the present configuration with their paths added, by names that
stay. Read them, take out what is not meant, and give them to ` + "`helm upgrade`" + `. Nothing is changed.`,
		Example: "  kubectl loam disks --node k1\n  kubectl loam disks --init --pool fast > values.yaml",
		Args:    words(),
		RunE: a.inCluster(o, "list disks", func(ctx context.Context, r reached, _ []string) error {
			s := r.survey(ctx, d.node, cluster.Nodes, cluster.Own)
			if err := known(s, d.node); err != nil {
				return err
			}
			disks := cluster.Disks(s.Agents)
			var err error
			if d.init {
				err = a.printPlan(ctx, r, d.pool, cluster.Untaken(disks))
			} else {
				err = a.print(disks, nil, func(w io.Writer) { writeDisks(w, disks) })
			}
			if err != nil {
				return err
			}
			return a.incomplete(s)
		}),
	}
	a.onNode(cmd, o, &d.node)
	cmd.Flags().BoolVar(&d.init, "init", false, "print values that would take the blank ones")
	cmd.Flags().StringVar(&d.pool, "pool", "fast", "with --init, the `POOL` that they go to")
	return cmd
}

func writeDisks(w io.Writer, disks []cluster.Disk) {
	t := table{titles: []string{"NODE", "DISK", ">SIZE", "KIND", "MODEL", "STATE", "POOL", "REASON"}}
	for _, d := range disks {
		t.add(d.Node, d.Path, d.Size.String(), d.Kind, d.Model, string(d.State), d.Pool, d.Reason)
	}
	if len(t.rows) > 0 {
		t.write(w)
	}
}

// printPlan prints values, below what is known of the disks that they would take.
func (a *app) printPlan(ctx context.Context, r reached, pool string, disks []cluster.Named) error {
	if len(disks) == 0 {
		a.hint("No disk is blank and unnamed: there is nothing to add.")
		return nil
	}
	config, err := r.Configuration(ctx)
	if err != nil {
		return err
	}
	plan, err := cluster.Plan(config, pool, disks)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "# Values for Loam's chart: the present configuration, with these disks in pool %s.\n", oneCell(pool))
	for _, d := range disks {
		fmt.Fprintln(a.stdout, "#   "+described(d))
	}
	fmt.Fprint(a.stdout, plan)
	a.hint("Nothing was changed. Read them, and: helm upgrade loam CHART --namespace %s --reuse-values --values FILE", r.Namespace)
	return nil
}

// described is a disk as a comment.
func described(d cluster.Named) string {
	words := []string{d.Node + ":", d.Stable}
	if d.Stable != d.Path {
		words = append(words, "("+d.Path+")")
	}
	if words = append(words, d.Size.String()); d.Model != "" {
		words = append(words, d.Model)
	}
	text := oneCell(strings.Join(words, " "))
	if !d.Stays {
		text += ": has no name that stays, and may be another disk after a reboot, or on another node"
	}
	return text
}

func (a *app) clusterPools(o *clusterOptions) *cobra.Command {
	on := ""
	cmd := &cobra.Command{
		Use: "pools", Short: "List the pools of all nodes: size, use, room, and what is wrong",
		Long: `Lists the pools of all nodes.

  USED        is allocated
  PROMISED    is what its volumes may come to use
  AVAILABLE   is what new volumes may ask for, together
  LARGEST     is the largest single volume that would be accepted now`,
		Args: words(),
		RunE: a.inCluster(o, "list pools", func(ctx context.Context, r reached, _ []string) error {
			s := r.survey(ctx, on, cluster.Nodes, cluster.Own)
			if err := known(s, on); err != nil {
				return err
			}
			pools := cluster.Pools(s.Agents)
			if err := a.print(pools, nil, func(w io.Writer) { writePools(w, pools) }); err != nil {
				return err
			}
			return a.incomplete(s)
		}),
	}
	a.onNode(cmd, o, &on)
	return cmd
}

func writePools(w io.Writer, pools []cluster.Pool) {
	t := table{titles: []string{"NODE", "POOL", "TYPE", ">SIZE", ">USED", ">META", ">PROMISED", ">AVAILABLE", ">LARGEST", ">VOLUMES", "STATE"}}
	for _, p := range pools {
		meta := "-"
		if p.Type == "thin" {
			meta = fmt.Sprintf("%.1f %%", p.MetadataPercent)
		}
		t.add(p.Node, p.Name, p.Type, p.Size.String(), fmt.Sprintf("%v (%.0f %%)", p.Used, p.DataPercent), meta, p.Promised.String(), p.Available.String(), p.Largest.String(),
			fmt.Sprint(p.Volumes), poolStateOf(p))
	}
	if len(t.rows) > 0 {
		t.write(w)
	}
	for _, p := range pools {
		for _, c := range p.Conditions {
			fmt.Fprintf(w, "\n%s, pool %s: %s since %s: %s\n", p.Node, oneCell(p.Name), oneCell(c.Kind), c.Since.UTC().Format("2006-01-02 15:04:05 UTC"), oneCell(c.Message))
		}
	}
}

// poolStateOf is poolState's, where what is wrong is told below.
func poolStateOf(p cluster.Pool) string {
	if p.Ready && len(p.Conditions) > 0 {
		kinds := make([]string, 0, len(p.Conditions))
		for _, c := range p.Conditions {
			kinds = append(kinds, c.Kind)
		}
		return "ready, but " + strings.Join(kinds, ", ")
	}
	p.Conditions = nil
	return poolState(p.Pool)
}

func (a *app) clusterVolumes(o *clusterOptions) *cobra.Command {
	var c cluster.Choice
	cmd := &cobra.Command{
		Use: "volumes", Short: "List the volumes of all nodes, with their claims and the pods that use them",
		Long: `Lists volumes with their claim, the pods that use it, node, pool, size and what is allocated. Volumes of
agents that do not answer are shown as far as Kubernetes knows them.

--orphans lists those that were made for a claim and that no PersistentVolume names any more: nobody
will ask for their deletion. ` + "`loam volume delete` on the node gives their space back.",
		Example: "  kubectl loam volumes --pvc shop/data\n  kubectl loam volumes --node k1",
		Args:    words(),
		RunE: a.inCluster(o, "list volumes", func(ctx context.Context, r reached, _ []string) error {
			c := c
			if c.Claim != "" {
				c.Claim = r.claim(c.Claim)
			}
			return a.listClusterVolumes(ctx, r, c)
		}),
	}
	a.onNode(cmd, o, &c.Node)
	cmd.Flags().StringVar(&c.Claim, "pvc", "", "only the volume of `CLAIM` (namespace/name, or a name in --namespace)")
	cmd.Flags().BoolVar(&c.Orphans, "orphans", false, "only volumes that no PersistentVolume names")
	must(cmd.RegisterFlagCompletionFunc("pvc", a.completeInCluster(o, (*cluster.Client).ClaimNames)))
	return cmd
}

// claim is the full name of a claim.
func (r reached) claim(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return r.claims + "/" + name
}

func (a *app) listClusterVolumes(ctx context.Context, r reached, c cluster.Choice) error {
	s := cluster.Survey{Namespace: r.Namespace, Objects: r.Read(ctx, cluster.Nodes, cluster.Own, cluster.Persistent, cluster.Pods), Now: r.now}
	s.Agents = r.Ask(ctx, s.Objects, cmp.Or(c.Node, s.NodeOf(c.Claim)))
	volumes := cluster.Volumes(s, c)
	if err := known(s, c.Node); err != nil && len(volumes) == 0 {
		return err
	}
	if c.Claim != "" && len(volumes) == 0 {
		if err := a.incomplete(s); err != nil {
			return err
		}
		return notFound("no volume of Loam's is of claim %q (`kubectl loam explain pvc %s` says why)", c.Claim, c.Claim)
	}
	err := a.print(volumes, nil, func(w io.Writer) { writeVolumes(w, volumes) })
	if err != nil {
		return err
	}
	if c.Orphans {
		a.hintDeletion(s, volumes)
	}
	return a.incomplete(s)
}

// hintDeletion says how to give the space of orphans back.
func (a *app) hintDeletion(s cluster.Survey, orphans []cluster.Volume) {
	if len(orphans) == 0 {
		a.hint("There are none.")
		return
	}
	a.hint("\nWhere nobody needs what is in them:")
	for _, g := range s.Agents {
		var ids []string
		for _, v := range orphans {
			if v.Node == g.Node {
				ids = append(ids, v.ID)
			}
		}
		if len(ids) > 0 {
			a.hint("  kubectl --namespace %s exec %s -- loam volume delete %s", s.Namespace, g.Pod, strings.Join(ids, " "))
		}
	}
}

func writeVolumes(w io.Writer, volumes []cluster.Volume) {
	t := table{titles: []string{"CLAIM", "PODS", "VOLUME", "POOL", ">SIZE", ">USED", "CONTENTS", "STATE"}}
	for _, v := range volumes {
		used := "-"
		if v.Used != nil {
			used = v.Used.String()
		}
		t.add(v.Claim, strings.Join(v.Pods, ","), v.ID, v.Pool, v.Size.String(), used, contents(v.FS), v.State)
	}
	if len(t.rows) > 0 {
		t.write(w)
	}
}
