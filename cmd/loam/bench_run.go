package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
)

// benchTarget is `loam bench run`.
type benchTarget struct {
	profile benchProfile
	output  benchOutput
	serial  string
}

func (a *app) benchRun() *cobra.Command {
	var b benchTarget
	cmd := &cobra.Command{
		Use: "run PATH|DEVICE", Short: "Measure a folder's file system or a block device",
		Long: `Measures what a disk gives where applications use it: in a folder, in a file that is made for it and
removed; or a block device, which is only read, unless it is blank by the judgement by which agents
take disks, and --write says its serial number.

Each job is repeated, every second time in the opposite order. What the engine says that it moved is
held against what the kernel counted for the device: more than 1 % apart is an error.

Refused are file systems in memory, on the network or of a container, too little room (5 % of the file
system, and of a thin pool beneath, stay free), and writing to a device that holds something or is in use.`,
		Example: `  loam bench run /var/lib/postgresql --profile database
  loam bench run /mnt/data --profile full --steady --json before.json
  loam bench run /dev/sdb                   reads only
  loam bench run /dev/sdb --write=S4EWNX0R  writes it over, if it is blank`,
		Args: oneTarget,
		RunE: func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), a, args[0]) },
	}
	b.profile.flags(cmd)
	b.output.flags(cmd)
	cmd.Flags().StringVar(&b.serial, "write", "", "write to the block device with that `SERIAL` number, if it is blank")
	return cmd
}

func oneTarget(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("expected one PATH or DEVICE")
	}
	return nil
}

// run measures, and prints what was measured also when it ended early.
func (b *benchTarget) run(ctx context.Context, a *app, path string) error {
	if err := b.output.check(); err != nil {
		return err
	}
	plan, err := b.profile.plan(ctx, a)
	if err != nil {
		return err
	}
	report, err := a.benchReport(bench.OfTarget, plan)
	if err != nil {
		return err
	}
	plan.Tell = a.benchProgress()
	stages, failed := b.measure(ctx, a, plan, bench.Wanted{Path: path, Size: plan.Profile.Size, Serial: b.serial})
	if len(stages) == 0 {
		return a.benchFailed(ctx, failed)
	}
	report.Stages, report.Ended = stages, a.now()
	return errors.Join(b.output.write(a, report), a.benchFailed(ctx, failed))
}

// measure leaves nothing behind, whatever becomes of it.
func (b *benchTarget) measure(ctx context.Context, a *app, plan bench.Plan, w bench.Wanted) (stages []bench.Stage, err error) {
	plan.Tell(bench.Progress{Place: w.Path, Job: "prepare"})
	place, err := bench.Open(ctx, w)
	if err != nil {
		plan.Tell(bench.Over)
		return nil, err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	if place.Warning != "" {
		fmt.Fprintf(a.stderr, "loam bench: warning: %s\n", place.Warning)
	}
	plan.Places = []*bench.Place{place}
	return bench.Run(ctx, plan)
}
