package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench/claim"
)

// How long a pod stays when it has told its result, so that whoever reads its log has all of it: of a container that has ended, what it wrote
// last may be lost. It is removed as soon as it was read.
const (
	heard       = time.Minute
	heardAtOnce = 5 * time.Second // by whoever ended the measurement
)

// benchPod is what `loam bench pvc` runs in its pods: `loam bench run`, with its result in the pod's log. It is not for people.
func (a *app) benchPod() *cobra.Command {
	return &cobra.Command{
		Use: "pod", Short: "What loam bench pvc runs in pods", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var report bytes.Buffer
			// What is for people goes to the standard output, too: two streams would come in any order.
			run := &app{stdout: &report, stderr: a.stdout, getenv: a.getenv, now: a.now, name: a.name, reach: a.reach}
			code := run.run(cmd.Context(), append([]string{"bench", "run"}, args...))
			if err := claim.WriteResult(a.stdout, report.Bytes(), code); err != nil {
				return refuse("could not tell the result: %w", err)
			}
			linger(cmd.Context())
			if code != exitOK {
				return failure{code, errors.New("the measurement failed, as said above")}
			}
			return nil
		},
	}
}

// linger waits to be told to end, which who was told before is not again.
func linger(ctx context.Context) {
	patience, cancel := context.WithTimeout(ctx, heard)
	if ctx.Err() != nil {
		patience, cancel = context.WithTimeout(context.WithoutCancel(ctx), heardAtOnce)
	}
	defer cancel()
	<-patience.Done()
}
