package main

import (
	"context"
	"fmt"
	"io"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeSnapshot() *cobra.Command {
	return &cobra.Command{
		Use: "snapshot VOLUME NAME", Short: "Keep a volume's contents of this moment under a name",
		Long: `Takes a snapshot of a volume, also while it is in use. It shares the volume's blocks, so it
costs nothing until the volume changes. "restore" makes a volume of it, "delete" removes it.`,
		Example:           "  loam volume snapshot data data-monday",
		Args:              words("VOLUME", "NAME"),
		ValidArgsFunction: a.completeFirst(a.volumeNames(admin.KindVolume)),
		RunE:              a.ask("take a snapshot of", a.takeSnapshot),
	}
}

func (a *app) takeSnapshot(ctx context.Context, g *agent, args []string) error {
	source, err := g.find(ctx, args[0], admin.KindVolume)
	if err != nil {
		return err
	}
	answer, err := g.controller.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{SourceVolumeId: source.ID, Name: args[1]})
	if err != nil {
		return err
	}
	s, err := g.find(ctx, answer.GetSnapshot().GetSnapshotId())
	if err != nil {
		return err
	}
	return a.print(s, []string{s.Name}, func(w io.Writer) {
		fmt.Fprintf(w, "snapshot %s of volume %s taken %s\n", cell(s.Name), cell(source.Name), describe(s))
	})
}
