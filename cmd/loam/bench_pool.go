package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/bench/pool"
	"github.com/loam-storage/loam/lvm"
)

// benchPool is what the commands take that measure inside a pool.
type benchPool struct {
	pool    string
	profile benchProfile
	output  benchOutput
}

func (p *benchPool) flags(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.pool, "pool", "", "`POOL` to measure in (required)")
	cmd.Flags().DurationVar(&a.timeout, "timeout", 2*time.Minute, "longest wait for an answer of the agent")
	_ = cmd.MarkFlagRequired("pool") // both fail only for a flag that is not there
	_ = cmd.RegisterFlagCompletionFunc("pool", a.completeFlag(a.poolNames))
	p.profile.flags(cmd)
	p.output.flags(cmd)
}

// run measures, and prints what was measured also when it ended early.
func (p *benchPool) run(ctx context.Context, a *app, kind bench.Kind, measure func(context.Context, pool.Plan) ([]bench.Stage, error)) error {
	if err := p.output.check(); err != nil {
		return err
	}
	plan, err := p.profile.plan(ctx, a)
	if err != nil {
		return err
	}
	report, err := a.benchReport(kind, plan)
	if err != nil {
		return err
	}
	tell := a.benchProgress()
	stages, failed := measure(ctx, pool.Plan{
		Ask: func(ctx context.Context) (pool.Pool, error) { return a.askPool(ctx, p.pool) }, LVM: lvm.New(lvm.Options{}),
		Folder: filepath.Dir(a.socket), Profile: plan.Profile, Engine: plan.Engine, Seed: plan.Seed, Tell: tell,
	})
	tell(bench.Over)
	failed = p.explain(ctx, a, failed)
	if len(stages) == 0 {
		return failed
	}
	report.Stages, report.Ended = stages, a.now()
	return errors.Join(p.output.write(a, report), failed)
}

// explain is benchFailed, but for what the agent said, and for what is not removed.
func (p *benchPool) explain(ctx context.Context, a *app, err error) error {
	if _, ok := errors.AsType[failure](err); ok && ctx.Err() == nil {
		return err
	}
	if errors.Is(err, pool.ErrLeft) {
		return refuse("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return a.benchFailed(ctx, err)
}

// askPool asks the agent for a pool as it is now.
func (a *app) askPool(ctx context.Context, name string) (p pool.Pool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err = a.connect(ctx, func(g *agent) error {
		told, err := g.pool(ctx, name)
		if err != nil {
			return err
		}
		p = pool.Pool{
			Name: told.Name, VolumeGroup: told.VolumeGroup, ThinPool: told.ThinPool, Devices: told.Devices, Available: told.Available,
			ExtendAt: told.ExtendAt, Problem: told.Problem,
		}
		if p.Problem == "" && !told.Ready {
			p.Problem = "it is not ready"
		}
		return nil
	})
	return p, a.fail(ctx, "ask for pool "+name, err)
}
