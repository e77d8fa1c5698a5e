package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show one volume or snapshot in full",
		Args:              words("NAME"),
		ValidArgsFunction: a.completeFirst(a.volumeNames()),
		RunE: a.ask("show volume", func(ctx context.Context, g *agent, args []string) error {
			all, err := g.admin.Volumes(ctx)
			if err != nil {
				return err
			}
			v, err := pick(all, args[0], g.info.Node)
			if err != nil {
				return err
			}
			return a.print(v, []string{v.Name}, func(w io.Writer) { a.volumeSheet(v, all, g.info).write(w) })
		}),
	}
}

func (a *app) volumeSheet(v admin.Volume, all []admin.Volume, info admin.Info) *sheet {
	var s sheet
	s.add(strings.ToUpper(string(v.Kind[:1]))+string(v.Kind[1:]), v.Name)
	s.add("ID", v.ID)
	if v.Claim != "" {
		s.add("Claim", v.Claim)
	}
	s.add("Pool", v.Pool+", volume group "+v.VolumeGroup)
	s.add("Size", v.Size.String())
	s.add("Used", fmt.Sprintf("%v of the pool", v.Used))
	s.add("Contents", contents(v.FS))
	s.add("Created", fmt.Sprintf("%s (%s ago)", v.Created.UTC().Format(time.DateTime+" UTC"), age(a.now().Sub(v.Created))))
	if v.Source != "" {
		s.add("From", sourceOf(v, all))
	}
	health := v.Health
	if health == "" {
		health = "well"
	}
	s.add("Health", health)
	if v.Kind == admin.KindSnapshot {
		return &s
	}
	s.add("Device", v.Device)
	m := mountsOf(v, info)
	s.add("Mounted on", append(m.targets, m.others...)...)
	s.add("Snapshots", snapshotsOf(v, all)...)
	return &s
}

// sourceOf says in words what the contents came from.
func sourceOf(v admin.Volume, all []admin.Volume) string {
	for _, source := range all {
		if source.LV == v.Source {
			return string(source.Kind) + " " + source.Name
		}
	}
	return v.Source + " (deleted)"
}

func snapshotsOf(v admin.Volume, all []admin.Volume) []string {
	var found []string
	for _, s := range only(all, admin.KindSnapshot) {
		if s.Source == v.LV {
			found = append(found, s.Name)
		}
	}
	return found
}
