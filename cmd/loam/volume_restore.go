package main

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeRestore() *cobra.Command {
	return a.copyCommand(admin.KindSnapshot, &cobra.Command{
		Use: "restore SNAPSHOT NAME", Short: "Make a new volume with the contents of a snapshot",
		Long: `Makes a new volume with the contents of a snapshot. The snapshot and the volume that it was
taken of stay as they are.`,
		Example: `  loam volume restore data-monday data-again
  loam volume restore data-monday data-again --size 20Gi`,
		Args: words("SNAPSHOT", "NAME"),
	})
}

func (a *app) volumeClone() *cobra.Command {
	return a.copyCommand(admin.KindVolume, &cobra.Command{
		Use: "clone VOLUME NAME", Short: "Make a new volume with the present contents of another",
		Long: `Makes a new volume with the contents that another has at this moment, also while that is in
use. They share blocks until one of them changes.`,
		Example: "  loam volume clone data data-copy",
		Args:    words("VOLUME", "NAME"),
	})
}

// copyCommand completes a command that makes a volume of something of that kind.
func (a *app) copyCommand(from admin.Kind, cmd *cobra.Command) *cobra.Command {
	var to size
	cmd.ValidArgsFunction = a.completeFirst(a.volumeNames(from))
	cmd.RunE = a.ask(cmd.Name(), func(ctx context.Context, g *agent, args []string) error {
		source, err := g.find(ctx, args[0], from)
		if err != nil {
			return err
		}
		if to.bytes > 0 && to.bytes < source.Size {
			return usage("%s has %v, and a copy cannot be smaller", args[0], source.Size)
		}
		return a.createVolume(ctx, g, args[1], copyOf(source, max(to.bytes, source.Size)))
	})
	cmd.Flags().Var(&to, "size", "at least this much (default: as large as what it is made of)")
	must(cmd.RegisterFlagCompletionFunc("size", cobra.NoFileCompletions))
	return cmd
}

// copyOf is what CSI is asked for a copy, but for its name.
func copyOf(source admin.Volume, bytes lvm.Bytes) *csi.CreateVolumeRequest {
	content := &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: source.ID},
	}}
	if source.Kind == admin.KindSnapshot {
		content = &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
			Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: source.ID},
		}}
	}
	return &csi.CreateVolumeRequest{
		CapacityRange: atLeast(bytes), VolumeContentSource: content,
		VolumeCapabilities: []*csi.VolumeCapability{capability(source.FS)},
	}
}
