package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// defaultSocket is where an agent serves CSI unless told otherwise.
const defaultSocket = "/run/loam/csi.sock"

// app is what all sub-commands share: where to read and write, and the flags that they have in common.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	name           string // of the binary as it was called: kubectl-loam is another set of commands
	reach          reach

	socket  string
	output  choice
	timeout time.Duration
}

// run executes one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root, who := a.root(), "loam" //nolint:contextcheck // commands are given theirs by cobra
	switch a.name {
	case pluginCompletion:
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
		fallthrough
	case plugin:
		root, who = a.pluginRoot(), "kubectl loam" //nolint:contextcheck // the same
	}
	a.prepare(root)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	message, code := explain(err)
	fmt.Fprintf(a.stderr, "%s: %s\n", who, message)
	if code == exitUsage {
		fmt.Fprintf(a.stderr, "See `%s --help`.\n", cmd.CommandPath())
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := group("loam", "Local storage for Kubernetes on LVM", `Loam gives pods, and anyone else on a node, the node's own disks as LVM volumes.

An agent (loam agent) runs on each node and is its CSI driver. The other commands ask the
agent on this machine, over its unix socket. Under the name kubectl-loam in your PATH, this binary is
`+"`kubectl loam`"+`, which shows a whole cluster.`)
	root.Example = `  loam disk list                            what the agent takes, and why not the rest
  loam pool list                            what there is room for
  loam volume create data --size 10Gi       a new volume with an ext4 file system
  loam volume mount data /mnt/data          for use on this machine`
	root.PersistentFlags().StringVar(&a.socket, "socket", a.env("LOAM_SOCKET", defaultSocket),
		"unix `SOCKET` of the agent ($LOAM_SOCKET)")
	root.AddCommand(a.volumeCommand(), a.diskCommand(), a.poolCommand(), a.benchCommand(), a.reportCommand(), a.versionCommand(), outputTopic(), a.agentCommand(), a.controllerCommand(), a.extenderCommand())
	return root
}

// prepare makes a root print and fail as all of them do.
func (a *app) prepare(root *cobra.Command) {
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return err })
}

// usageTemplate is cobra's, with lines that fit a terminal, and without the group's own line, as a group does nothing.
func usageTemplate(cobras string) string {
	return strings.NewReplacer(
		"FlagUsages", "FlagUsagesWrapped 100",
		"{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}",
	).Replace(cobras)
}

// group is a command that only has others under it. Cobra would take any word after it for an argument and show help
// with exit code 0; here it is wrong usage.
func group(use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := ""
			cmd.SuggestionsMinimumDistance = 2 // letters that may be wrong
			if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
				hint = fmt.Sprintf("; did you mean %s?", strings.Join(like, " or "))
			}
			return fmt.Errorf("`%s` has no command %q%s", cmd.CommandPath(), args[0], hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// clientFlags adds what every command that asks an agent takes.
func (a *app) clientFlags(cmd *cobra.Command) {
	a.output = choice{value: outputTable, allowed: []string{outputTable, outputJSON, outputName}}
	cmd.PersistentFlags().VarP(&a.output, "output", "o", "how to print it; see loam help output")
	cmd.PersistentFlags().DurationVar(&a.timeout, "timeout", 2*time.Minute, "longest wait for an answer")
	_ = cmd.RegisterFlagCompletionFunc("output", a.output.complete) // fails only for a flag that is not there
}
