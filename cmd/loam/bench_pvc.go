package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/bench/claim"
)

// benchClaim is `loam bench pvc`.
type benchClaim struct {
	cluster *clusterOptions
	profile benchProfile
	output  benchOutput
	wanted  claim.Wanted
	cleanup bool
}

// benchPVC is the command, of `loam bench` and of `kubectl loam bench`, which brings its flags that say which cluster.
func (a *app) benchPVC(o *clusterOptions) *cobra.Command {
	b := &benchClaim{cluster: o}
	cmd := &cobra.Command{
		Use: "pvc --storage-class CLASS", Short: "Measure what a pod gets of a StorageClass, on one node or on each",
		Long: `Measures in a pod, on a PersistentVolumeClaim of its own, what "loam bench run" measures on its machine:
on the node that kube-scheduler chooses, on one, or on each that is fit, one after the other.

It makes a Job for each node, of Loam's own image, without privileges, in the namespace of --namespace; pod
and claim belong to the Job. All of it is removed at the end, also when it fails or is interrupted. Of a
command that is killed, Kubernetes removes it ten minutes after the measurement, and --cleanup at once.`,
		Example: `  loam bench pvc --storage-class loam                           on one node
  loam bench pvc --storage-class loam --each-node --html b.html
  loam bench pvc --cleanup                                      what killed commands left`,
		Args: words(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchPVCs(cmd, b) },
	}
	b.profile.flags(cmd)
	b.output.flags(cmd)
	f, w := cmd.Flags(), &b.wanted
	f.StringVar(&w.Class, "storage-class", "", "`CLASS` of the claims")
	f.StringVar(&w.Node, "node", "", "measure this `NODE` (default: one that kube-scheduler chooses)")
	f.BoolVar(&w.Each, "each-node", false, "measure every node that is ready and where the class has room")
	f.IntVar(&w.Parallel, "parallel", 1, "how many nodes to measure at a time")
	f.StringVar(&w.Image, "image", "", "`IMAGE` with loam in it (default: the one that the agents run)")
	f.DurationVar(&w.Patience, "start-timeout", 5*time.Minute, "longest wait for a pod to start")
	f.DurationVar(&w.Timeout, "timeout", 0, "longest wait for one node's measurement (default: twice what the profile takes, and ten minutes)")
	f.BoolVar(&b.cleanup, "cleanup", false, "remove what earlier commands left in the namespace, and measure nothing")
	return cmd
}

// benchPVCHere is the command of `loam bench`, which knows of no cluster.
func (a *app) benchPVCHere() *cobra.Command {
	o := &clusterOptions{}
	cmd := a.benchPVC(o)
	o.flags(cmd, "`NAMESPACE` to make pods and claims in (default: the context's)")
	return cmd
}

// clusterBench is `kubectl loam bench`.
func (a *app) clusterBench(o *clusterOptions) *cobra.Command {
	cmd := group("bench", "Measure what pods get of a StorageClass", "Measures what pods get of a StorageClass. `loam bench` measures this machine's disks, too.")
	cmd.AddCommand(a.benchPVC(o))
	return cmd
}

func (a *app) benchPVCs(cmd *cobra.Command, b *benchClaim) error {
	if b.cleanup {
		return a.benchCleanup(cmd.Context(), b)
	}
	if b.wanted.Class == "" {
		return usage("--storage-class is missing")
	}
	if b.wanted.Each && b.wanted.Node != "" {
		return usage("--node and --each-node cannot be given together")
	}
	if b.wanted.Parallel < 1 || b.wanted.Patience < time.Second || b.wanted.Timeout < 0 {
		return usage("--parallel must be at least 1, --start-timeout at least 1s, and --timeout not below 0")
	}
	if a.output.value == outputJSON { // of `kubectl loam`
		if err := cmd.Flags().Set("json", standardOutput); err != nil {
			return err
		}
	}
	if err := b.output.check(); err != nil {
		return err
	}
	profile, err := b.profile.profile()
	if err != nil {
		return err
	}
	if err := b.plan(profile); err != nil {
		return err
	}
	return a.benchGather(cmd.Context(), b, profile)
}

// plan says what the pods are to do.
func (b *benchClaim) plan(p bench.Profile) error {
	w := &b.wanted
	w.Profile, w.File, w.Size, w.Arguments = b.profile.name, p.Size, claim.ClaimFor(p.Size), b.profile.arguments()
	w.Takes = p.Takes(1).Round(time.Second)
	if w.Timeout == 0 {
		w.Timeout = 2*longest(p) + 10*time.Minute
	}
	if slices.Contains(profileNames(), b.profile.name) {
		return nil
	}
	text, err := os.ReadFile(b.profile.name)
	if err != nil {
		return refuse("--profile: %w", err)
	}
	w.ProfileFile = string(text)
	return nil
}

// longest is how long a profile takes when nothing becomes steady.
func longest(p bench.Profile) time.Duration {
	if p.Steady {
		p.Repetitions = max(p.Repetitions, p.MaxRounds)
	}
	return p.Takes(1)
}

// arguments are the flags that were given besides --profile and --size.
func (p *benchProfile) arguments() []string {
	var all []string
	for flag, value := range map[string]string{
		"engine": p.engine.value, "runtime": p.runtime.String(), "warm-up": p.warmUp.String(), "repetitions": fmt.Sprint(p.repetitions), "steady": fmt.Sprint(p.steady),
	} {
		if p.changed(flag) {
			all = append(all, "--"+flag+"="+value)
		}
	}
	slices.Sort(all)
	return all
}

func (a *app) benchGather(ctx context.Context, b *benchClaim, p bench.Profile) error {
	r, err := a.reach(*b.cluster)
	if err != nil {
		return refuse("could not measure: %w", err)
	}
	if b.wanted.Image == "" {
		if b.wanted.Image, err = r.agentImage(ctx); err != nil {
			return refuse("which image the agents run is not known (--image says it): %w", err)
		}
	}
	report, err := a.benchClient(r).Gather(ctx, b.wanted)
	if len(report.Stages) > 0 {
		report.Profile.Name = p.Name // a pod knows a file by another name
		err = errors.Join(err, b.output.write(a, report))
	}
	return measured(ctx, err)
}

// measured turns what measuring claims ended with into an exit code.
func measured(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, claim.ErrLeft):
		return refuse("interrupted, and what was made is removed: %w", err)
	case errors.Is(err, claim.ErrPartial):
		return failure{exitPartial, err}
	case errors.Is(err, claim.ErrNoClass), errors.Is(err, claim.ErrNoNode):
		return failure{exitNotFound, err}
	}
	return refuse("could not measure: %w", err)
}

func (a *app) benchClient(r reached) *claim.Client {
	return &claim.Client{Kubernetes: r.Kubernetes, Namespace: r.claims, Tell: func(node, what string) {
		if node != "" {
			node += ": "
		}
		fmt.Fprintf(a.stderr, "loam bench: %s%s\n", node, what)
	}}
}

// agentImage is what the pods run unless told otherwise.
func (r reached) agentImage(ctx context.Context) (string, error) {
	if err := r.Find(ctx); err != nil {
		return "", err
	}
	return r.Image(ctx)
}

func (a *app) benchCleanup(ctx context.Context, b *benchClaim) error {
	r, err := a.reach(*b.cluster)
	if err != nil {
		return refuse("could not clean up: %w", err)
	}
	removed, err := a.benchClient(r).Cleanup(ctx)
	if err != nil {
		return refuse("could not clean up: %w", err)
	}
	for _, l := range removed {
		fmt.Fprintf(a.stdout, "job %s removed, with its pod, claim and volume\n", l.Job)
	}
	if len(removed) == 0 {
		fmt.Fprintf(a.stderr, "There is nothing to remove in namespace %s.\n", r.claims)
	}
	return nil
}
