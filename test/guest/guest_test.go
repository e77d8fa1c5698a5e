package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is this program, built as `go run` builds it: the race detector does not start in User Mode Linux, and
// an initramfs has no dynamic linker.
var program string

func TestMain(m *testing.M) {
	os.Exit(buildAndTest(m))
}

func buildAndTest(m *testing.M) int {
	folder, err := os.MkdirTemp("", "guest-test-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	program = filepath.Join(folder, "guest")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// bootTime bounds one guest of the tests on a busy machine.
const bootTime = 4 * time.Minute

// result is what a guest's command left.
type result struct {
	status         int
	stdout, stderr string
}

// guest runs the program to its end.
func guest(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("guest %q: %v", args, err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// expect fails the test unless the guest ended as it should.
func (r result) expect(t *testing.T, status int, stdout string) {
	t.Helper()
	if r.status != status || r.stdout != stdout {
		t.Errorf("exit status %d, stdout:\n%.2000s\nstderr:\n%.2000s\nwant exit status %d and stdout:\n%.2000s",
			r.status, r.stdout, r.stderr, status, stdout)
	}
}

func TestAWrongCommandLineIsExplained(t *testing.T) {
	for _, args := range [][]string{
		{}, {"--disks=1G"}, {"--disks=none", "true"}, {"--kernel=bsd", "true"}, {"--env=A", "true"},
		{"--memory=0", "true"}, {"--timeout=soon", "true"}, {"--no-such-flag", "true"},
	} {
		got := guest(t, "", args...)
		if got.status != exitUsage || !strings.HasPrefix(got.stderr, "guest: ") || !strings.Contains(got.stderr, "--help") {
			t.Errorf("guest %q: exit status %d, %q; want %d and an explanation", args, got.status, got.stderr, exitUsage)
		}
	}
}

func TestWhatCannotRunIsRefusedBeforeAnythingStarts(t *testing.T) {
	for reason, args := range map[string][]string{
		"no such directory": {"--writable=/no/such/directory", "true"},
		"no such file":      {"--disk-image=/no/such/image", "true"},
		"at most 15":        {"--disks=16x1M", "true"},
		"MiB of memory":     {"--memory=1M", "true"},
	} {
		got := guest(t, "", args...)
		if got.status != exitNoGuest || !strings.Contains(got.stderr, reason) {
			t.Errorf("guest %q: exit status %d, %q; want %d and %q", args, got.status, got.stderr, exitNoGuest, reason)
		}
	}
}
