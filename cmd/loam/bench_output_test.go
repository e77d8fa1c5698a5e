package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/bench"
)

// outputOf is that of a command line.
func outputOf(t *testing.T, args ...string) *benchOutput {
	t.Helper()
	var o benchOutput
	cmd := &cobra.Command{}
	o.flags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return &o
}

func TestOneFileThatFailsLeavesTheOthersAndWhatWasThere(t *testing.T) {
	r, err := readReport("../../bench/testdata/before.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	gone, kept := filepath.Join(dir, "gone"), filepath.Join(dir, "kept.prom")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	o := outputOf(t, "--json", filepath.Join(gone, "a.json"), "--textfile", kept)
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil { // while it was measured
		t.Fatal(err)
	}
	var out strings.Builder
	err = o.write(&app{stdout: &out}, r)
	if err == nil || !strings.Contains(err.Error(), "--json "+gone) || strings.Contains(err.Error(), "--textfile") {
		t.Errorf("got the error %v, want one of --json alone", err)
	}
	if !strings.Contains(out.String(), "rand-read-1") {
		t.Errorf("the table is lost with the file: %q", out.String())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "kept.prom" {
		t.Errorf("%v (%v) are left, want kept.prom alone", entries, err)
	}
}

func TestFilesAreReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	if err := os.WriteFile(path, []byte(strings.Repeat("old", 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readReport("../../bench/testdata/before.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := outputOf(t, "--json", path).write(&app{stdout: &strings.Builder{}}, r); err != nil {
		t.Fatal(err)
	}
	again, err := readReport(path)
	if err != nil || len(again.Stages) != len(r.Stages) || again.Kind != bench.OfTarget {
		t.Errorf("what was written is %+v (%v), want the report", again.Kind, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v (%v), want one that node exporter can read", info.Mode(), err)
	}
}
