package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

// mounting is what `loam volume mount` was asked for.
type mounting struct {
	path     string // absolute
	readOnly bool
	options  []string
}

func (a *app) volumeMount() *cobra.Command {
	var want mounting
	cmd := &cobra.Command{
		Use: "mount VOLUME PATH", Short: "Mount a volume for use on this machine",
		Long: `Mounts a volume on a path of this machine, which is made if it is missing, and removed again
by "unmount". A raw block volume appears as a device at that path.

The volume is staged beside the agent's socket first (for a kubelet's agent: in
plugins/loam.storage/staging of the kubelet's directory), as CSI has it.`,
		Example: `  loam volume mount data /mnt/data
  loam volume mount data /mnt/data --read-only --options noatime`,
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 2 {
				if want.path, err = filepath.Abs(args[1]); err != nil {
					return err
				}
				args = []string{args[0], "PATH"} // a path may be longer than a name
			}
			return words("VOLUME", "PATH")(cmd, args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return a.completeFirst(a.volumeNames(admin.KindVolume))(cmd, args, typed)
		},
		RunE: a.ask("mount volume", func(ctx context.Context, g *agent, args []string) error {
			return a.mountVolume(ctx, g, args[0], want)
		}),
	}
	cmd.Flags().BoolVar(&want.readOnly, "read-only", false, "refuse to write through this mount")
	cmd.Flags().StringSliceVar(&want.options, "options", nil, "mount `OPTIONS`, of those that the agent allows")
	return cmd
}

func (a *app) mountVolume(ctx context.Context, g *agent, name string, want mounting) error {
	v, err := g.find(ctx, name, admin.KindVolume)
	if err != nil {
		return err
	}
	m := mountsOf(v, g.info)
	if !slices.Contains(m.targets, want.path) {
		if err := checkTarget(want.path, g.info.KubeletDir, v.FS); err != nil {
			return err
		}
	}
	if err := g.mount(ctx, v, m, want); err != nil {
		return err
	}
	after, err := g.find(ctx, v.ID)
	if err != nil {
		return err
	}
	how := "read-write"
	if want.readOnly {
		how = "read-only"
	}
	return a.print(after, []string{after.Name}, func(w io.Writer) {
		fmt.Fprintf(w, "volume %s mounted on %s (%s, %s)\n", cell(v.Name), want.path, contents(v.FS), how)
	})
}

// checkTarget refuses, before anything is staged, a path on which a mount would fail or would hide what is there.
func checkTarget(path, root, fsType string) error {
	if inside, err := filepath.Rel(root, path); err != nil || inside == ".." || strings.HasPrefix(inside, "../") {
		return refuse("cannot mount on %s: this agent mounts only beneath %s", path, root)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return refuse("cannot mount on %s: there is no directory %s", path, filepath.Dir(path))
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return refuse("cannot mount on %s: %w", path, err)
	case info.IsDir() != (fsType != ""):
		return refuse("cannot mount on %s: it is a %s", path, kindOf(info))
	case !info.IsDir():
		return nil
	}
	inside, err := os.ReadDir(path)
	if err != nil {
		return refuse("cannot mount on %s: %w", path, err)
	}
	if len(inside) > 0 {
		return refuse("cannot mount on %s: it is not empty, and what is in it would be hidden", path)
	}
	return nil
}

func kindOf(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "directory"
	case info.Mode()&fs.ModeSymlink != 0:
		return "symbolic link"
	}
	return "file"
}

// mount stages the volume and publishes it. What this call staged is taken back if it cannot be published, so that a
// failure leaves nothing that would keep the volume from being deleted; where that fails too, "unmount" does it later.
func (g *agent) mount(ctx context.Context, v admin.Volume, m mounts, want mounting) error {
	if err := os.MkdirAll(m.staging, 0o750); err != nil {
		return refuse("cannot stage volume %s: %w", v.Name, err)
	}
	use := capability(v.FS, want.options...)
	_, err := g.node.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{VolumeId: v.ID, StagingTargetPath: m.staging, VolumeCapability: use})
	if err == nil {
		_, err = g.node.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
			VolumeId: v.ID, StagingTargetPath: m.staging, TargetPath: want.path, VolumeCapability: use, Readonly: want.readOnly,
		})
	}
	if err != nil && len(m.targets) == 0 {
		_ = g.unstage(ctx, v, m)
	}
	return err
}
