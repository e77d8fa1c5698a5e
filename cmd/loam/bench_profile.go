package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/node"
)

// benchProfile is what every command that measures takes: what is measured, how thoroughly, and by which engine.
type benchProfile struct {
	name            string
	engine          choice
	size            size
	warmUp, runtime time.Duration
	repetitions     int
	steady          bool
	changed         func(flag string) bool
}

func (p *benchProfile) flags(cmd *cobra.Command) {
	p.engine = choice{value: bench.Auto, allowed: bench.Engines()}
	p.changed = cmd.Flags().Changed
	f := cmd.Flags()
	f.StringVar(&p.name, "profile", "quick", "`PROFILE` of jobs: "+strings.Join(profileNames(), ", ")+", or a file")
	f.Var(&p.engine, "engine", "what does the I/O; auto is fio where there is a version that will do")
	f.Var(&p.size, "size", "how much of each place is read and written, instead of the profile's")
	f.DurationVar(&p.runtime, "runtime", 0, "how long each repetition measures, instead of the profile's `TIME`")
	f.DurationVar(&p.warmUp, "warm-up", 0, "how long each repetition runs before it measures, instead of the profile's `TIME`")
	f.IntVar(&p.repetitions, "repetitions", 0, "how often each job is repeated, instead of the profile's `NUMBER`")
	f.BoolVar(&p.steady, "steady", false, "repeat until the last five repetitions are a steady state, by SNIA's definition")
	_ = cmd.RegisterFlagCompletionFunc("engine", p.engine.complete) // fails only for a flag that is not there
	_ = cmd.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profileNames(), cobra.ShellCompDirectiveDefault // or a file
	})
}

func profileNames() []string {
	var names []string
	for _, p := range bench.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// profile is the one that was named, with what other flags say instead.
func (p *benchProfile) profile() (bench.Profile, error) {
	profile, err := bench.ProfileOf(p.name)
	if err != nil {
		return bench.Profile{}, usage("--profile: %w", err)
	}
	if p.changed("size") {
		profile.Size = p.size.bytes
	}
	if p.changed("runtime") {
		profile.Runtime = p.runtime
	}
	if p.changed("warm-up") {
		profile.WarmUp = p.warmUp
	}
	if p.changed("repetitions") {
		profile.Repetitions = p.repetitions
	}
	profile.Steady = profile.Steady || p.steady
	if err := profile.Check(); err != nil {
		return bench.Profile{}, usage("%w", err)
	}
	return profile, nil
}

// plan is what the flags ask for, still without places.
func (p *benchProfile) plan(ctx context.Context, a *app) (bench.Plan, error) {
	profile, err := p.profile()
	if err != nil {
		return bench.Plan{}, err
	}
	engine, note, err := bench.Choose(ctx, p.engine.value)
	if err != nil {
		return bench.Plan{}, refuse("--engine=%s: %w", p.engine.value, err)
	}
	if note != "" {
		fmt.Fprintf(a.stderr, "loam bench: %s\n", note)
	}
	return bench.Plan{Profile: profile, Engine: engine, Seed: a.now().UnixNano()}, nil
}

// report begins a report of what a plan measures on this machine.
func (a *app) benchReport(kind bench.Kind, p bench.Plan) (bench.Report, error) {
	host, err := bench.ThisHost()
	if err != nil {
		return bench.Report{}, refuse("could not tell which machine this is: %w", err)
	}
	return bench.Report{
		Version: bench.Version, Program: node.Version(), Kind: kind, Started: a.now(), Host: host, Engine: p.Engine.Name(), Profile: p.Profile,
	}, nil
}
