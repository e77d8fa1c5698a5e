package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
)

// standardOutput is the FILE that means it.
const standardOutput = "-"

// benchOutput is what a command makes of the report that it measured: the table, and files.
type benchOutput struct {
	forms []*benchForm
}

// benchForm is one form of a report, in a file.
type benchForm struct {
	flag, help string
	encode     func(io.Writer, bench.Report) error
	path       string
}

// flags adds those that say which files to write.
func (o *benchOutput) flags(cmd *cobra.Command) {
	o.forms = []*benchForm{
		{flag: "json", help: "all that was measured, for loam bench show and compare, to `FILE`", encode: bench.Encode},
		{flag: "html", help: "a page with plots, which needs no network, to `FILE`", encode: bench.EncodeHTML},
		{flag: "textfile", help: "metrics for node exporter's textfile collector to `FILE` (NAME.prom)", encode: bench.EncodePrometheus},
		{flag: "go-bench", help: "lines of Go's benchmark format, for benchstat, to `FILE`", encode: bench.EncodeGo},
	}
	for _, f := range o.forms {
		cmd.Flags().StringVar(&f.path, f.flag, "", f.help)
		_ = cmd.MarkFlagFilename(f.flag) // fails only for a flag that is not there
	}
}

// check says, before anything is measured, which file cannot be written afterwards.
func (o *benchOutput) check() error {
	taken := map[string]string{}
	for _, f := range o.forms {
		if f.path == "" {
			continue
		}
		if other, ok := taken[f.path]; ok {
			return fmt.Errorf("--%s and --%s are both %s", other, f.flag, f.path)
		}
		taken[f.path] = f.flag
		if f.path == standardOutput {
			continue
		}
		if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
			return refuse("--%s %s: it is there, and is no regular file", f.flag, f.path)
		}
		scratch, err := os.CreateTemp(filepath.Dir(f.path), scratchPattern)
		if err == nil {
			err = errors.Join(scratch.Close(), os.Remove(scratch.Name()))
		}
		if err != nil {
			return refuse("--%s %s: %w", f.flag, f.path, withoutScratch(err))
		}
	}
	return nil
}

// withoutScratch leaves out of an error the name of a file that nobody asked for.
func withoutScratch(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// scratchPattern names a file until it is whole. node exporter reads *.prom alone.
const scratchPattern = ".loam-bench-*"

// write prints the report, as a table unless a form goes to the standard output, and writes the files. What one file fails
// with does not keep the others from being written.
func (o *benchOutput) write(a *app, r bench.Report) error {
	people := true
	var failed []error
	for _, f := range o.forms {
		if f.path == "" {
			continue
		}
		var b bytes.Buffer
		err := f.encode(&b, r)
		switch {
		case err != nil:
		case f.path == standardOutput:
			people = false
			_, err = a.stdout.Write(b.Bytes())
		default:
			err = withoutScratch(replace(f.path, b.Bytes()))
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("--%s %s: %w", f.flag, f.path, err))
		}
	}
	if people {
		writeBench(a.stdout, r)
	}
	if len(failed) > 0 {
		return refuse("%w", errors.Join(failed...))
	}
	return nil
}

// replace writes the file whole, or leaves what was there.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), scratchPattern)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// terminal is how wide tables are at most.
const terminal = 100

// writeBench prints a report for people.
func writeBench(w io.Writer, r bench.Report) {
	for _, line := range r.Head() {
		fmt.Fprintln(w, line)
	}
	for _, t := range r.Tables() {
		fmt.Fprintln(w)
		if t.Title != "" {
			fmt.Fprintln(w, t.Title)
		}
		writeFigures(w, t.Fit(terminal))
	}
	if notes := r.Notes(); len(notes) > 0 {
		fmt.Fprintln(w)
		for _, line := range notes {
			fmt.Fprintln(w, line)
		}
	}
}

// writeFigures prints words to the left and figures to the right.
func writeFigures(w io.Writer, figures bench.Table) {
	t := table{rows: figures.Rows}
	for _, title := range figures.Columns {
		if !slices.Contains(figures.Left, title) {
			title = ">" + title
		}
		t.titles = append(t.titles, title)
	}
	t.write(w)
}
