package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoTestExec runs a package's tests in a guest the way CONTRIBUTING says.
func TestGoTestExec(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example\n\ngo 1.26\n",
		"double.go": "package example\n\nfunc Double(n int) int {\n\treturn 2 * n\n}\n",
		"double_test.go": `package example

import (
	"os"
	"testing"
)

func TestDouble(t *testing.T) {
	if os.Getenv("LOAM_DISKS") != "/dev/ubdb" {
		t.Fatal("not in a guest with one disk")
	}
	if _, err := os.Stat("double.go"); err != nil || Double(2) != 4 {
		t.Fatal("wrong directory, or arithmetic", err)
	}
}
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	cover := filepath.Join(folder, "cover.out")
	command := exec.CommandContext(ctx, "go", "test", "-json", "-coverprofile="+cover, "-exec", program+" --disks=64M --", ".")
	command.Dir = folder
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), `"Action":"pass","Package":"example","Test":"TestDouble"`) {
		t.Errorf("go test -exec: %v\n%s", err, output)
	}
	const covered = "example/double.go:3.24,5.2 1 1\n"
	if profile, err := os.ReadFile(cover); err != nil || !strings.Contains(string(profile), covered) {
		t.Errorf("coverage profile: %v\n%s\nwant the line %q", err, profile, covered)
	}
}
