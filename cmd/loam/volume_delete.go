package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME...", Short: "Delete volumes or snapshots and what is in them, without asking",
		Long: `Deletes volumes and snapshots with what is in them, and gives their space back. It asks
nothing. One that is mounted is refused; when one of several names is wrong, none is deleted.

Snapshots outlive the volume that they were taken of, and restored volumes the snapshot.`,
		Example: `  loam volume delete data
  loam volume list --snapshots -o name | xargs loam volume delete`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("NAME is missing")
			}
			return checkNames(args...)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.offer(cmd, a.volumeNames()), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.ask("delete", a.deleteVolumes),
	}
}

func (a *app) deleteVolumes(ctx context.Context, g *agent, args []string) error {
	all, err := g.admin.Volumes(ctx)
	if err != nil {
		return err
	}
	var doomed []admin.Volume
	for _, name := range args {
		v, err := pick(all, name, g.info.Node)
		if err != nil {
			return err
		}
		if len(v.Mounts) > 0 {
			return inUse(v, g.info)
		}
		doomed = append(doomed, v)
	}
	for i, v := range doomed {
		if err := g.delete(ctx, v); err != nil {
			return a.fail(ctx, "delete "+v.Name, err)
		}
		if a.output.value != outputJSON {
			if err := a.print(v, []string{v.Name}, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s deleted %s\n", v.Kind, cell(v.Name), describe(doomed[i]))
			}); err != nil {
				return err
			}
		}
	}
	if a.output.value == outputJSON {
		return a.print(doomed, nil, nil)
	}
	return nil
}

// inUse refuses, with what would end the use.
func inUse(v admin.Volume, info admin.Info) error {
	m := mountsOf(v, info)
	if len(m.others) > 0 {
		return refuse("volume %s is mounted by the kubelet, until the pod that uses it ends", v.Name)
	}
	return refuse("volume %s is mounted on %s: `loam volume unmount %s` first", v.Name, strings.Join(append(m.targets, m.staging)[:max(1, len(m.targets))], ", "), v.Name)
}

func (g *agent) delete(ctx context.Context, v admin.Volume) error {
	if v.Kind == admin.KindSnapshot {
		_, err := g.controller.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: v.ID})
		return err
	}
	_, err := g.controller.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: v.ID})
	return err
}
