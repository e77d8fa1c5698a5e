package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node/admin"
)

// creation is what `loam volume create` was asked for.
type creation struct {
	size        size
	fs          choice
	pool        string
	makeOptions string
}

func (a *app) volumeCreate() *cobra.Command {
	want := creation{fs: choice{value: "ext4", allowed: []string{"ext4", "xfs", noFS}}}
	cmd := &cobra.Command{
		Use: "create NAME --size SIZE", Short: "Make a new volume with a file system",
		Long: `Makes a new volume with an empty file system. One that exists as asked for is left as it is.`,
		Example: `  loam volume create data --size 10Gi
  loam volume create db --size 1Ti --fs xfs --pool fast
  loam volume create disk0 --size 20Gi --fs none      a raw block device`,
		Args:              words("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: a.ask("create volume", func(ctx context.Context, g *agent, args []string) error {
			if err := g.checkPool(ctx, want.pool); err != nil {
				return err
			}
			return a.createVolume(ctx, g, args[0], want.request())
		}),
	}
	f := cmd.Flags()
	f.Var(&want.size, "size", "at least this much, such as 500Mi, 10Gi, 1.5Ti or 10G (required)")
	f.Var(&want.fs, "fs", "what to put on it; none makes a raw block device")
	f.StringVar(&want.pool, "pool", "", "`POOL` to make it in (default: the one with most room)")
	f.StringVar(&want.makeOptions, "mkfs-options", "", "`OPTIONS` for mkfs, of those that the agent allows")
	must(cmd.MarkFlagRequired("size"))
	must(cmd.RegisterFlagCompletionFunc("fs", want.fs.complete))
	must(cmd.RegisterFlagCompletionFunc("size", cobra.NoFileCompletions))
	must(cmd.RegisterFlagCompletionFunc("pool", a.completeFlag(a.poolNames)))
	return cmd
}

// checkPool says that there is no pool of that name before CSI does, in whose words it is a parameter. An empty name
// leaves the choice to the agent.
func (g *agent) checkPool(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	_, err := g.pool(ctx, name)
	return err
}

// request is what CSI is asked, but for the name.
func (c *creation) request() *csi.CreateVolumeRequest {
	fs := c.fs.value
	if fs == noFS {
		fs = ""
	}
	parameters := map[string]string{}
	if c.pool != "" {
		parameters["pool"] = c.pool
	}
	if c.makeOptions != "" {
		parameters["mkfsOptions"] = c.makeOptions
	}
	return &csi.CreateVolumeRequest{
		CapacityRange:      atLeast(c.size.bytes),
		Parameters:         parameters,
		VolumeCapabilities: []*csi.VolumeCapability{capability(fs)},
	}
}

// createVolume asks for a volume of that name and tells what there is now.
func (a *app) createVolume(ctx context.Context, g *agent, name string, req *csi.CreateVolumeRequest) error {
	before, err := g.admin.Volumes(ctx)
	if err != nil {
		return err
	}
	req.Name = name
	answer, err := g.controller.CreateVolume(ctx, req)
	if err != nil {
		return err
	}
	id := answer.GetVolume().GetVolumeId()
	v, err := g.find(ctx, id)
	if err != nil {
		return err
	}
	verb := "created"
	if slices.ContainsFunc(before, func(v admin.Volume) bool { return v.ID == id }) {
		verb = "is there already"
	}
	return a.print(v, []string{v.Name}, func(w io.Writer) {
		fmt.Fprintf(w, "volume %s %s %s\n", cell(v.Name), verb, describe(v))
	})
}

// describe is a volume or snapshot in a few words.
func describe(v admin.Volume) string {
	return fmt.Sprintf("(%v, %s, pool %s)", v.Size, contents(v.FS), v.Pool)
}

// must is for errors that only a wrong flag name in this source can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
