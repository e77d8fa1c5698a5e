package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) poolCommand() *cobra.Command {
	pool := group("pool", "Show the pools of this node", `Pools are what volumes are made from. The agent's configuration names them and the disks that
they may take.`)
	a.clientFlags(pool)
	pool.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the pools: size, use and room",
			Long: `Lists the pools of this node.

  USED        is allocated
  PROMISED    is what its volumes may come to use
  AVAILABLE   is what new volumes may ask for, together
  LARGEST     is the largest single volume that would be accepted now`,
			Args: words(),
			RunE: a.ask("list pools", a.listPools),
		},
		&cobra.Command{
			Use: "show POOL", Short: "Show one pool in full: room, health and disks",
			Args:              words("POOL"),
			ValidArgsFunction: a.completeFirst(a.poolNames),
			RunE:              a.ask("show pool", a.showPool),
		},
	)
	pool.AddCommand(a.poolRestore())
	return pool
}

func (a *app) poolRestore() *cobra.Command {
	dry := false
	cmd := &cobra.Command{
		Use: "restore-metadata POOL --dry-run", Short: "Show how damaged LVM metadata of a pool could be restored",
		Long: `Compares what the pool's disks hold of its volume group's metadata with the newest copy of them
that the agent keeps, and prints the commands (pvck, see its manual) that would make them what they
were. Loam itself never writes metadata back: that is for you, once you have read them.`,
		Args:              words("POOL"),
		ValidArgsFunction: a.completeFirst(a.poolNames),
		RunE: a.ask("plan how to restore metadata", func(ctx context.Context, g *agent, args []string) error {
			if !dry {
				return usage("--dry-run is missing: this only shows what to do, and nothing else is offered")
			}
			if _, err := g.pool(ctx, args[0]); err != nil {
				return err
			}
			plan, err := g.admin.Restoration(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(plan, plan.Commands, func(w io.Writer) { writeRestoration(w, plan) })
		}),
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would be done (required)")
	return cmd
}

func writeRestoration(w io.Writer, r admin.Restoration) {
	fmt.Fprintf(w, "Volume group %s, newest copy %s: change %d of %s\n\n", r.VolumeGroup, r.Backup, r.Change, r.Created.Format(time.DateTime))
	t := table{titles: []string{"DISK", "PHYSICAL VOLUME", "FOUND", "REPAIR"}}
	for _, d := range r.Devices {
		repair := "no"
		if d.Repair {
			repair = "yes"
		}
		t.add(cmp.Or(d.Path, "-"), d.UUID, d.Found, repair)
	}
	t.write(w)
	if len(r.Commands) == 0 {
		fmt.Fprintln(w, "\nNothing has to be restored.")
		return
	}
	fmt.Fprintln(w, "\nNothing was changed. To restore, make copies of the disks if you can, stop the agent or what else changes the group, and run")
	for _, c := range r.Commands {
		fmt.Fprintln(w, "  "+c)
	}
	fmt.Fprintln(w, "The agent then activates what is there, when it starts or within a minute.")
}

func (a *app) listPools(ctx context.Context, g *agent, _ []string) error {
	pools, err := g.admin.Pools(ctx)
	if err != nil {
		return err
	}
	a.warn(g.info)
	t := table{titles: []string{"POOL", "TYPE", ">SIZE", ">USED", ">PROMISED", ">AVAILABLE", ">LARGEST", ">VOLUMES", "STATE"}}
	names := make([]string, 0, len(pools))
	for _, p := range pools {
		names = append(names, p.Name)
		t.add(p.Name, p.Type, p.Size.String(), p.Used.String(), p.Promised.String(), p.Available.String(), p.Largest.String(),
			fmt.Sprint(p.Volumes), poolState(p))
	}
	if len(pools) == 0 {
		a.hint("No pool is configured in %s.", g.info.ConfigPath)
		t.titles = nil
	}
	return a.print(pools, names, func(w io.Writer) { t.write(w) })
}

func (a *app) showPool(ctx context.Context, g *agent, args []string) error {
	p, err := g.pool(ctx, args[0])
	if err != nil {
		return err
	}
	a.warn(g.info)
	return a.print(p, []string{p.Name}, func(w io.Writer) { poolSheet(p).write(w) })
}

// pool asks for the pool of that name.
func (g *agent) pool(ctx context.Context, name string) (admin.Pool, error) {
	pools, err := g.admin.Pools(ctx)
	if err != nil {
		return admin.Pool{}, err
	}
	i := slices.IndexFunc(pools, func(p admin.Pool) bool { return p.Name == name })
	if i < 0 {
		return admin.Pool{}, notFound("node %s has no pool %q (`loam pool list` shows those it has)", g.info.Node, name)
	}
	return pools[i], nil
}

func poolSheet(p admin.Pool) *sheet {
	var s sheet
	s.add("Pool", p.Name)
	s.add("Type", p.Type+", volume group "+p.VolumeGroup)
	s.add("State", poolState(p))
	s.add("Size", p.Size.String())
	used := fmt.Sprintf("%v, %.1f %%", p.Used, p.DataPercent)
	if p.Type == "thin" {
		used += fmt.Sprintf(" (metadata %.1f %%)", p.MetadataPercent)
	}
	s.add("Used", used)
	s.add("Promised", p.Promised.String()+", to "+count(p.Volumes, "volume")+" and "+count(p.Snapshots, "snapshot"))
	if p.Others > 0 {
		s.add("Others", fmt.Sprintf("%s, no volume of Loam's, which take room all the same (`lvs -o+lv_tags %s`)", count(p.Others, "logical volume"), p.VolumeGroup))
	}
	s.add("Available", p.Available.String())
	s.add("Largest", p.Largest.String()+" for one new volume")
	s.add("Disks", p.Devices...)
	if len(p.Healed) > 0 {
		last := p.Healed[len(p.Healed)-1]
		s.add("Healed", fmt.Sprintf("%s since the agent started; last %s %s (%s)", count(p.HealedCount, "thing"), last.Volume, last.What, last.At.Format(time.DateTime)))
	}
	for _, c := range p.Conditions {
		s.add(c.Kind, c.Message, "(since "+c.Since.Format(time.DateTime)+")")
	}
	return &s
}

func poolState(p admin.Pool) string {
	switch {
	case p.Problem != "":
		return p.Problem
	case p.Ready && len(p.Conditions) > 0:
		return "ready, but " + p.Conditions[0].Kind + " (see loam pool show " + p.Name + ")"
	case p.Ready:
		return "ready"
	}
	return "not ready"
}
