package lvm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of what is kept of a command's output. A report takes about 1 KiB a volume.
const (
	maxStdout = 512 << 20
	maxStderr = 64 << 10
)

// environment is all that lvm sees of ours: another locale would translate numbers and words.
var environment = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1"}

// run executes one lvm command over the allowed devices and returns its standard output. There is no way to interrupt it:
// a killed command may leave a pool suspended (see the package comment).
func (l *LVM) run(args []string) ([]byte, error) {
	if err := l.Available(); err != nil {
		return nil, err
	}
	devices := l.allowed()
	if err := checkDevices(devices); err != nil {
		return nil, err
	}
	if len(devices) == 0 {
		return nil, fmt.Errorf("%s: LVM may look at no device", args[0])
	}
	if err := l.writeConfig(); err != nil {
		return nil, err
	}
	start := time.Now()
	stdout, err := execute(l.command(devices, args), args)
	if l.options.Observe != nil {
		l.options.Observe(Command{Args: args, Duration: time.Since(start), ExitCode: exitCode(err), Err: err})
	}
	return stdout, err
}

// command adds to args what every command gets: settings and devices, a clean environment, a process group of its own,
// which a terminal's Ctrl-C does not reach, and nothing to read.
func (l *LVM) command(devices, args []string) *exec.Cmd {
	cmd := &exec.Cmd{
		Path: l.binary, Args: []string{"lvm", args[0]}, Env: slices.Clone(environment), Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if dir := l.options.ConfigDir; dir != "" {
		cmd.Env = append(cmd.Env, "LVM_SYSTEM_DIR="+dir)
	} else {
		cmd.Args = append(cmd.Args, "--config", config(l.options.BackupDir))
	}
	cmd.Args = append(cmd.Args, "--devices", strings.Join(devices, ","))
	cmd.Args = append(cmd.Args, args[1:]...)
	return cmd
}

// execute runs a command to its end. Output goes to memory files, not to pipes: when the agent dies, a pipe would break
// and the next line that lvm writes would kill it in the middle of its change.
func execute(cmd *exec.Cmd, args []string) (out []byte, err error) {
	stdout, err := memoryFile("lvm-stdout")
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := memoryFile("lvm-stderr")
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		return nil, commandError(err, args, stderr)
	}
	out, truncated, err := contents(stdout, maxStdout)
	if err == nil && truncated {
		err = fmt.Errorf("more than %v of output", Bytes(maxStdout))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: reading its output: %w", args[0], err)
	}
	return out, nil
}

func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// contents reads a memory file from its beginning, whatever its offset, which it shares with the process that wrote it.
func contents(f *os.File, limit int64) (data []byte, truncated bool, err error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.NewSectionReader(f, 0, limit+1))
	if n > limit {
		return b.Bytes()[:limit], true, err
	}
	return b.Bytes(), false, err
}

func commandError(err error, args []string, stderr *os.File) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	words, _, _ := contents(stderr, maxStderr) // the exit status alone still says that it failed
	e := &CommandError{Args: args, ExitCode: exit.ExitCode(), Stderr: string(words)}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}

func exitCode(err error) int {
	var e *CommandError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e.ExitCode
	}
	return -1
}

func findBinary(binary string) string {
	for _, path := range []string{binary, "/usr/sbin/lvm", "/sbin/lvm"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		} else if binary != "" {
			return ""
		}
	}
	return ""
}
