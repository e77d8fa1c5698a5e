package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
)

func (a *app) benchShow() *cobra.Command {
	var out benchOutput
	cmd := &cobra.Command{
		Use: "show REPORT.json", Short: "Print a report that was kept, or make a page or other files of it",
		Long:    `Prints the table of a report that --json wrote, and writes the files that are asked for.
With - for FILE, what would be in it is printed instead of the table.`,
		Example: "  loam bench show before.json\n  loam bench show before.json --html before.html",
		Args:    files("REPORT.json"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := readReport(args[0])
			if err != nil {
				return err
			}
			if err := out.check(); err != nil {
				return err
			}
			return out.write(a, r)
		},
	}
	out.flags(cmd)
	return cmd
}

// readReport reads one that --json wrote.
func readReport(path string) (bench.Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return bench.Report{}, refuse("%w", err)
	}
	r, err := bench.Decode(text)
	if err != nil {
		return bench.Report{}, refuse("%s: %w", path, err)
	}
	return r, nil
}
