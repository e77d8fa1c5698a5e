package main

import (
	"context"
	"fmt"
	"io"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeExpand() *cobra.Command {
	to := size{canGrowBy: true}
	cmd := &cobra.Command{
		Use: "expand VOLUME --size SIZE", Short: "Make a volume larger, also while it is in use",
		Long: `Makes a volume larger, and its file system with it: at once where it is mounted, without
unmounting; otherwise when it is mounted next. A volume never shrinks.`,
		Example: `  loam volume expand data --size 20Gi     to 20 GiB
  loam volume expand data --size +5Gi     by 5 GiB`,
		Args:              words("VOLUME"),
		ValidArgsFunction: a.completeFirst(a.volumeNames(admin.KindVolume)),
		RunE: a.ask("expand volume", func(ctx context.Context, g *agent, args []string) error {
			return a.expandVolume(ctx, g, args[0], to)
		}),
	}
	cmd.Flags().Var(&to, "size", "new size, such as 20Gi, or +5Gi for that much more (required)")
	must(cmd.MarkFlagRequired("size"))
	must(cmd.RegisterFlagCompletionFunc("size", cobra.NoFileCompletions))
	return cmd
}

func (a *app) expandVolume(ctx context.Context, g *agent, name string, to size) error {
	before, err := g.find(ctx, name, admin.KindVolume)
	if err != nil {
		return err
	}
	target := to.bytes
	if to.relative {
		target += before.Size
	}
	if target < before.Size {
		return usage("volume %s has %v, and a volume never shrinks", name, before.Size)
	}
	answer, err := g.controller.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{
		VolumeId: before.ID, CapacityRange: atLeast(target), VolumeCapability: capability(before.FS),
	})
	if err != nil {
		return err
	}
	if answer.GetNodeExpansionRequired() && len(before.Mounts) > 0 {
		if err := g.expandMounted(ctx, before, answer.GetCapacityBytes()); err != nil {
			return err
		}
	}
	after, err := g.find(ctx, before.ID)
	if err != nil {
		return err
	}
	return a.print(after, []string{after.Name}, func(w io.Writer) { fmt.Fprintln(w, grown(before, after)) })
}

// expandMounted grows the file system of a volume that is mounted, by whomever.
func (g *agent) expandMounted(ctx context.Context, v admin.Volume, bytes int64) error {
	req := &csi.NodeExpandVolumeRequest{
		VolumeId: v.ID, VolumePath: v.Mounts[0], VolumeCapability: capability(v.FS),
		CapacityRange: &csi.CapacityRange{RequiredBytes: bytes},
	}
	m := mountsOf(v, g.info)
	if len(m.targets) > 0 {
		req.VolumePath = m.targets[0]
	}
	if m.staged {
		req.StagingTargetPath = m.staging
	}
	_, err := g.node.NodeExpandVolume(ctx, req)
	return err
}

// grown tells what an expansion came to.
func grown(before, after admin.Volume) string {
	text := fmt.Sprintf("volume %s expanded from %v to %v", cell(after.Name), before.Size, after.Size)
	if after.Size == before.Size {
		text = fmt.Sprintf("volume %s has %v already", cell(after.Name), after.Size)
	}
	switch {
	case after.FS == "":
		return text
	case len(before.Mounts) > 0:
		return text + ", its file system too"
	}
	return text + "; its file system follows when it is mounted"
}
