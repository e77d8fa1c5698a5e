// Package tool is the one place where the node runs a tool other than LVM's: an absolute binary, an argument list, no
// shell, and an error that repeats the tool's own words.
package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// directories are the only places where tools are looked for, whatever PATH says.
var directories = [...]string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"}

// most is how much of a tool's output is kept, from its end.
const most = 64 << 10

// ErrAbsent says that a tool is not installed.
var ErrAbsent = errors.New("not installed")

// drain is how long output is waited for after a tool was killed: a process that it started may hold the pipe open.
const drain = 2 * time.Second

// Error is a tool that ended with another status than 0.
type Error struct {
	Args     []string       // as run, the binary's path first
	ExitCode int            // -1 when a signal ended it
	Signal   syscall.Signal // that ended it; 0 for none
	Stdout   string
	Stderr   string
}

// Error is the tool's name, how it ended and its last words, on one line.
func (e *Error) Error() string {
	how := fmt.Sprintf("failed with status %d", e.ExitCode)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	words := strings.Join(strings.Fields(e.Stderr), " ")
	if words == "" {
		words = strings.Join(strings.Fields(e.Stdout), " ")
	}
	if words == "" {
		return fmt.Sprintf("%s %s", filepath.Base(e.Args[0]), how)
	}
	if len(words) > 400 {
		words = "…" + strings.ToValidUTF8(words[len(words)-400:], "")
	}
	return fmt.Sprintf("%s %s: %s", filepath.Base(e.Args[0]), how, words)
}

// Run runs a tool by its name to its end and returns the end of its standard output. The context kills it, with all that
// it started: a killed mkfs is repeated, and a checker that only reads may be killed, but callers for whom it would do
// harm pass a context that does not end. Errors: ErrAbsent, *Error, the context's, or why it could not be started.
func Run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := find(name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=" + strings.Join(directories[:], ":"), "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the agent alone
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drain
	var stdout, stderr tail
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s was ended: %w", name, ctx.Err())
	case errors.As(err, &exit):
		e := &Error{Args: cmd.Args, ExitCode: exit.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			e.Signal = w.Signal()
		}
		return "", e
	}
	return "", fmt.Errorf("running %s: %w", name, err)
}

func find(name string) (string, error) {
	for _, dir := range directories {
		if name == "" || name != filepath.Base(name) {
			break
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w in %s", name, ErrAbsent, strings.Join(directories[:], ", "))
}

// tail keeps the end of what is written to it.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - most; over > most {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	b := t.b.Bytes()
	return string(b[max(0, len(b)-most):])
}
