package claim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/loam-storage/loam/bench"
)

// gathered joins what nodes gave in one report, with a stage for each, also for those that gave nothing and those that were skipped. The
// error says what failed; without any report it is all there is.
func gathered(results []result, skipped []Skipped) (bench.Report, error) {
	var whole bench.Report
	var failed []error
	measured := 0
	for _, r := range results {
		switch {
		case r.err != nil && r.node == "":
			failed = append(failed, r.err)
		case r.err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", r.node, r.err))
		}
		if r.report == nil {
			continue
		}
		if measured++; measured == 1 {
			whole = *r.report
			whole.Stages = nil
		}
	}
	if measured == 0 {
		return bench.Report{}, errors.Join(failed...)
	}
	whole.Kind, whole.Host = bench.OfClaims, host(results)
	for _, r := range results {
		whole.Stages = append(whole.Stages, stageOf(r))
	}
	for _, s := range skipped {
		whole.Stages = append(whole.Stages, bench.Stage{Name: s.Node, Skipped: s.Why})
	}
	if len(failed) == 0 {
		return whole, nil
	}
	if !slices.Contains(whole.Labels, bench.Partial) {
		whole.Labels = append(whole.Labels, bench.Partial)
	}
	return whole, fmt.Errorf("%w: %w", ErrPartial, errors.Join(failed...))
}

// stageOf is a node's: what its pod measured in its only place.
func stageOf(r result) bench.Stage {
	if r.report == nil {
		return bench.Stage{Name: r.node, Skipped: strings.Split(r.err.Error(), "\n")[0]}
	}
	stage := r.report.Stages[0]
	stage.Name = r.node
	return stage
}

// host is the machine, or what is to be said of several. A pod calls itself by its own name.
func host(results []result) bench.Host {
	var all bench.Host
	var names, kernels []string
	for _, r := range results {
		if r.report == nil {
			continue
		}
		h := r.report.Host
		names = append(names, r.node)
		if !slices.Contains(kernels, h.Kernel) {
			kernels = append(kernels, h.Kernel)
		}
		if all.CPUs == 0 || h.CPUs < all.CPUs {
			all.CPUs = h.CPUs
		}
	}
	all.Name, all.Kernel = strings.Join(names, ", "), strings.Join(kernels, ", ")
	return all
}
