package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeList() *cobra.Command {
	var snapshots bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the volumes, or their snapshots",
		Long: `Lists the volumes of this node, or with --snapshots their snapshots. USED is what is allocated
in the pool: for a snapshot, what it held when it was taken.`,
		Args: words(),
		RunE: a.ask("list volumes", func(ctx context.Context, g *agent, _ []string) error {
			return a.listVolumes(ctx, g, snapshots)
		}),
	}
	cmd.Flags().BoolVar(&snapshots, "snapshots", false, "list snapshots instead")
	return cmd
}

func (a *app) listVolumes(ctx context.Context, g *agent, snapshots bool) error {
	all, err := g.admin.Volumes(ctx)
	if err != nil {
		return err
	}
	if snapshots {
		return a.printSnapshots(all)
	}
	volumes := only(all, admin.KindVolume)
	if len(volumes) == 0 {
		a.hint("Node %s has no volumes. `loam volume create NAME --size 1Gi` makes one.", g.info.Node)
		return a.print(volumes, nil, func(io.Writer) {})
	}
	taken := map[string]int{} // snapshots by the volume that they are of
	for _, s := range only(all, admin.KindSnapshot) {
		taken[s.Source]++
	}
	t := table{titles: []string{"VOLUME", "POOL", ">SIZE", ">USED", "CONTENTS", ">SNAPSHOTS", "CLAIM", "STATE"}}
	for _, v := range volumes {
		t.add(v.Name, v.Pool, v.Size.String(), v.Used.String(), contents(v.FS), fmt.Sprint(taken[v.LV]), v.Claim, state(v, g.info))
	}
	return a.print(volumes, namesOf(volumes, all), func(w io.Writer) { t.write(w) })
}

func (a *app) printSnapshots(all []admin.Volume) error {
	snapshots := only(all, admin.KindSnapshot)
	if len(snapshots) == 0 {
		a.hint("There are no snapshots. `loam volume snapshot VOLUME NAME` takes one.")
		return a.print(snapshots, nil, func(io.Writer) {})
	}
	name := map[string]string{} // of volumes, by logical volume
	for _, v := range all {
		name[v.LV] = v.Name
	}
	t := table{titles: []string{"SNAPSHOT", "OF", "POOL", ">SIZE", ">USED", "CONTENTS", ">AGE", "STATE"}}
	for _, s := range snapshots {
		health := s.Health
		if health == "" {
			health = "ready"
		}
		of := name[s.Source]
		if of == "" {
			of = s.Source + " (deleted)"
		}
		t.add(s.Name, of, s.Pool, s.Size.String(), s.Used.String(), contents(s.FS), age(a.now().Sub(s.Created)), health)
	}
	return a.print(snapshots, namesOf(snapshots, all), func(w io.Writer) { t.write(w) })
}

// namesOf are names that each mean one of all: a volume and a snapshot may share theirs, and then it is the ID.
func namesOf(listed, all []admin.Volume) []string {
	bearers := map[string]int{}
	for _, v := range all {
		bearers[v.Name]++
	}
	var found []string
	for _, v := range listed {
		if bearers[v.Name] > 1 {
			found = append(found, v.ID)
		} else {
			found = append(found, v.Name)
		}
	}
	return found
}
