package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeUnmount() *cobra.Command {
	return &cobra.Command{
		Use: "unmount VOLUME", Short: "Undo every mount of a volume on this machine",
		Long: `Unmounts a volume from every path that "mount" put it on, and removes those paths. A volume
that a pod uses is left alone: its kubelet unmounts it when the pod ends.`,
		Args:              words("VOLUME"),
		ValidArgsFunction: a.completeFirst(a.volumeNames(admin.KindVolume)),
		RunE:              a.ask("unmount volume", a.unmountVolume),
	}
}

func (a *app) unmountVolume(ctx context.Context, g *agent, args []string) error {
	v, err := g.find(ctx, args[0], admin.KindVolume)
	if err != nil {
		return err
	}
	m := mountsOf(v, g.info)
	if len(m.others) > 0 && len(m.targets) == 0 {
		return refuse("volume %s is mounted by the kubelet, which unmounts it when the pod that uses it ends", args[0])
	}
	for _, target := range m.targets {
		if _, err := g.node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: v.ID, TargetPath: target}); err != nil {
			return err
		}
	}
	if err := g.unstage(ctx, v, m); err != nil {
		return err
	}
	after, err := g.find(ctx, v.ID)
	if err != nil {
		return err
	}
	return a.print(after, []string{after.Name}, func(w io.Writer) {
		if len(m.targets) == 0 {
			fmt.Fprintf(w, "volume %s is not mounted\n", cell(v.Name))
			return
		}
		fmt.Fprintf(w, "volume %s unmounted from %s\n", cell(v.Name), strings.Join(m.targets, ", "))
	})
}

// unstage undoes the staging of `loam volume mount`, also one that ended half-way, and removes its directory.
func (g *agent) unstage(ctx context.Context, v admin.Volume, m mounts) error {
	if _, err := os.Lstat(m.staging); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := g.node.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{VolumeId: v.ID, StagingTargetPath: m.staging}); err != nil {
		return err
	}
	if err := os.Remove(m.staging); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refuse("volume %s is unstaged, but its directory stays: %w", v.Name, err)
	}
	return nil
}
