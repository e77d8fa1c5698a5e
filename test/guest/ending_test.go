package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTimeoutEndsTheGuestAndSaysSo(t *testing.T) {
	started := time.Now()
	got := guest(t, "", "--timeout=5s", "--", "sleep", "1000")
	if got.status != exitTimeout || !strings.Contains(got.stderr, "after 5s") || !strings.Contains(got.stderr, "sleep 1000") {
		t.Errorf("exit status %d, stderr %q; want %d, the bound and what was ended", got.status, got.stderr, exitTimeout)
	}
	if took := time.Since(started); took < 5*time.Second || took > time.Minute {
		t.Errorf("ended after %v; want a little over 5 s", took)
	}
}

func TestNothingStaysBehindASignal(t *testing.T) {
	for signal, status := range map[syscall.Signal]int{
		syscall.SIGINT:  128 + int(syscall.SIGINT),
		syscall.SIGTERM: 128 + int(syscall.SIGTERM),
		syscall.SIGKILL: -1, // no exit status
	} {
		t.Run(signal.String(), func(t *testing.T) {
			temporary := t.TempDir()
			command, stdout := startGuest(t, temporary, "--disks=2x1G", "--", "sh", "-c", "echo up; sleep 1000")
			expectNextLine(t, command, bufio.NewReader(stdout), "up\n")
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = command.Wait()
			if got := command.ProcessState.ExitCode(); got != status {
				t.Errorf("exit status %d, want %d", got, status)
			}
			if left, err := filepath.Glob(filepath.Join(temporary, "*")); err != nil || len(left) != 0 {
				t.Errorf("files stay behind: %q, %v", left, err)
			}
			expectNoProcesses(t)
		})
	}
}

// startGuest starts the program with its temporary files in a folder of the test.
func startGuest(t *testing.T, temporary string, args ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	command := exec.Command(program, args...)
	command.Env = append(os.Environ(), "TMPDIR="+temporary)
	command.Stderr = &bytes.Buffer{}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	return command, stdout
}

// expectNextLine reads the next line that the guest prints.
func expectNextLine(t *testing.T, command *exec.Cmd, stdout *bufio.Reader, want string) {
	t.Helper()
	if line, err := stdout.ReadString('\n'); err != nil || line != want {
		_ = command.Process.Kill()
		t.Fatalf("the guest said %q, %v (%v); want %q; on stderr: %s", line, err, command.Wait(), want, command.Stderr)
	}
}

// expectNoProcesses waits a little for processes of the program, whose path is this test's own, to be gone.
func expectNoProcesses(t *testing.T) {
	t.Helper()
	var running []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if running = processes(t); len(running) == 0 {
			return
		}
	}
	t.Errorf("processes stay behind:\n%s", strings.Join(running, "\n"))
}

// processes are those with the program's path in their command line, zombies (which have none) not among them.
func processes(t *testing.T) (running []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), program) {
			running = append(running, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return running
}

func TestQuitSignalReachesTheCommand(t *testing.T) {
	command, stdout := startGuest(t, t.TempDir(), "--", "sh", "-c", `trap "echo quit; exit 3" QUIT; echo up; while :; do sleep 0.1; done`)
	reader := bufio.NewReader(stdout)
	for _, want := range []string{"up\n", "quit\n"} {
		expectNextLine(t, command, reader, want)
		if want == "up\n" {
			if err := command.Process.Signal(syscall.SIGQUIT); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = command.Wait()
	if got := command.ProcessState.ExitCode(); got != 3 {
		t.Errorf("exit status %d, want the command's 3", got)
	}
}
