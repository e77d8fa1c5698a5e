package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSessions runs the command lines of testdata/*.txt, each file against an agent of its own, and compares what a
// person would see. LOAM_UPDATE=1 writes the files anew; read the difference.
//
// A line "$ loam …" is a command; what follows is its standard output, then its standard error, then its exit code
// where that is not 0. DIR stands for a directory of the test, where the sockets are.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, dir := startAgent(t)
			got := session(t, dir, string(want))
			if os.Getenv("LOAM_UPDATE") != "" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s differs.\n--- got\n%s\n--- want\n%s", file, got, want)
			}
		})
	}
}

// session runs the command lines of a transcript and writes the transcript of that.
func session(t *testing.T, dir, transcript string) string {
	var b strings.Builder
	for line := range strings.Lines(transcript) {
		command, ok := strings.CutPrefix(line, "$ loam")
		if !ok {
			if strings.HasPrefix(line, "#") {
				b.WriteString(line)
			}
			continue
		}
		args := strings.Fields(strings.ReplaceAll(command, "DIR", dir))
		stdout, stderr, code := loam(t, dir, args...)
		b.WriteString(line)
		b.WriteString(strings.ReplaceAll(stdout+stderr, dir, "DIR"))
		if code != 0 {
			fmt.Fprintf(&b, "[exit %d]\n", code)
		}
	}
	return b.String()
}
