// Package tool is the one place where the node runs a tool other than LVM's: an absolute binary, an argument list, no
// shell, and an error that repeats the tool's own words.
package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// Command is a tool to run.
type Command struct {
	Name string
	Args []string
	// Stdout gets all of its standard output; nil: Run returns the end of it.
	Stdout io.Writer
	// Patience is for a tool that ends well, with a result, when it is interrupted: the end of the context interrupts it, and only
	// when that has not ended it by then it is killed. It does not outlive this process. 0: it is killed at once.
	Patience time.Duration
}

// Run runs a tool by its name to its end and returns the end of its standard output. The context kills it, with all that
// it started: a killed mkfs is repeated, and a checker that only reads may be killed, but callers for whom it would do
// harm pass a context that does not end. Errors: ErrAbsent, *Error, the context's, or why it could not be started.
func Run(ctx context.Context, name string, args ...string) (string, error) {
	return Command{Name: name, Args: args}.Run(ctx)
}

// Run is as the function Run, with the command's options.
func (c Command) Run(ctx context.Context) (string, error) {
	path, err := find(c.Name)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Env = []string{"PATH=" + strings.Join(directories[:], ":"), "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the agent alone
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = drain
	if c.Patience > 0 {
		// The kernel sends it when the thread ends that started the tool (prctl(2), PR_SET_PDEATHSIG).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
		cmd.WaitDelay = c.Patience
	}
	var stdout, stderr tail
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if err := ended(ctx, c.Name, cmd.Args, cmd.Run()); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Stdout, e.Stderr = stdout.String(), stderr.String()
		}
		return "", err
	}
	return stdout.String(), nil
}

// ended is how a tool did, as an error of this package.
func ended(ctx context.Context, name string, args []string, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s was ended: %w", name, ctx.Err())
	case errors.As(err, &exit):
		e := &Error{Args: args, ExitCode: exit.ExitCode()}
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			e.Signal = w.Signal()
		}
		return e
	}
	return fmt.Errorf("running %s: %w", name, err)
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
