package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
)

func (a *app) benchCompare() *cobra.Command {
	var failOn part
	output := choice{value: outputTable, allowed: []string{outputTable, outputJSON}}
	cmd := &cobra.Command{
		Use: "compare A.json B.json", Short: "Say what changed from one report to another, outside the noise",
		Long: `Compares two reports that --json wrote: throughput, p50, p99 and p99.9 of the latency, and processor
time, of each job. A change is called only where the repetitions' spread does not explain it: the
ratio's confidence interval (Welch's, of logarithms) leaves out 1. The intervals are so wide that of a
hundred changes that are called, five may be noise (Benjamini and Hochberg's procedure), and that
where nothing changed, ninety-five comparisons of a hundred call none.

It needs three repetitions in both reports, and five or more to see small changes. Noise that a
report does not have in it (another day, another disk of the same kind) is not accounted for:
measure again before you believe it.

Reports of different kinds, sizes, runtimes or jobs are refused.

Exit codes: 0 compared; 1 not comparable, or with --fail-on, too little of a job was measured to tell;
2 wrong usage; 5 with --fail-on, something got worse by more than that.`,
		Example: "  loam bench compare before.json after.json\n  loam bench compare before.json after.json --fail-on=10%",
		Args:    files("A.json", "B.json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := readReport(args[0])
			if err != nil {
				return err
			}
			after, err := readReport(args[1])
			if err != nil {
				return err
			}
			c, err := bench.Compare(before, after)
			if err != nil {
				return refuse("%s and %s: %w", args[0], args[1], err)
			}
			a.output = output
			if err := a.print(c, nil, func(w io.Writer) { writeComparison(w, c) }); err != nil {
				return err
			}
			if !cmd.Flags().Changed("fail-on") {
				return nil
			}
			return tooMuch(c, failOn)
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "how to print it")
	_ = cmd.RegisterFlagCompletionFunc("output", output.complete) // fails only for a flag that is not there
	cmd.Flags().Var(&failOn, "fail-on", "fail when a figure got worse by more than `PERCENT` of it, as in 10%, outside the noise")
	return cmd
}

// tooMuch is the failure of --fail-on.
func tooMuch(c bench.Comparison, limit part) error {
	var worse, unclear []string
	for _, change := range c.Changes {
		name := fmt.Sprintf("%s of %s in %s", change.Figure, change.Job, change.Where)
		switch {
		case change.Loss() > limit.value:
			worse = append(worse, fmt.Sprintf("%s by %.1f %%", name, 100*change.Loss()))
		case change.Verdict == bench.Unclear && change.Figure == bench.Throughput:
			unclear = append(unclear, fmt.Sprintf("%s in %s", change.Job, change.Where))
		}
	}
	if len(worse) > 0 {
		return failure{exitWorse, fmt.Errorf("worse by more than %s: %s", limit.text, strings.Join(worse, "; "))}
	}
	if len(unclear) > 0 {
		return refuse("--fail-on %s cannot be judged, with too little measured: %s", limit.text, strings.Join(unclear, ", "))
	}
	return nil
}

func writeComparison(w io.Writer, c bench.Comparison) {
	for i, t := range c.Tables() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if t.Title != "" {
			fmt.Fprintln(w, t.Title)
		}
		writeFigures(w, t)
	}
	fmt.Fprintln(w)
	for _, line := range append([]string{c.Summary()}, c.Notes...) {
		fmt.Fprintln(w, line)
	}
}
