package inside

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// Exit statuses of a command that could not be started: what shells give (sh(1p), 2.8.2).
const (
	notFound      = 127
	notExecutable = 126
)

// run starts the command, carries its streams and gives its exit status, 128 plus the signal's number if one ended it.
func run(order wire.Command, line io.Reader, out *wire.Sender) (int, error) {
	if err := os.Chdir(order.Dir); err != nil {
		return 0, fmt.Errorf("enter the working directory: %w", err)
	}
	path, err := lookUp(order.Args[0], order.Env)
	if err != nil {
		fmt.Fprintln(out.Stream(wire.Stderr), "guest:", err)
		return notFound, nil
	}
	streams, err := openStreams(order.Terminal)
	if err != nil {
		return 0, err
	}
	command, err := os.StartProcess(path, order.Args, &os.ProcAttr{
		Env: order.Env, Files: streams.command,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: order.Terminal != nil},
	})
	streams.closeCommandSide()
	if err != nil {
		fmt.Fprintln(out.Stream(wire.Stderr), "guest:", err)
		return notExecutable, nil
	}
	var copying sync.WaitGroup
	for kind, file := range streams.output {
		copying.Go(func() { _, _ = io.Copy(out.Stream(kind), file) })
	}
	input := &input{command: command.Pid, streams: streams, credit: out}
	input.serve(line)
	status := waitFor(command.Pid)
	finish(&copying)
	return status, nil
}

// waitFor reaps, as PID 1 must, every orphan, until the command itself has ended.
func waitFor(pid int) int {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return notExecutable // no child at all: cannot be, as only this loop reaps
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal())
		case ended == pid:
			return status.ExitStatus()
		}
	}
}

// finish ends what the command left running, which closes its outputs, and waits until they have been passed on. A
// process that hangs in the kernel keeps them open, so the wait is bounded.
func finish(copying *sync.WaitGroup) {
	_ = unix.Kill(-1, unix.SIGKILL)
	done := make(chan struct{})
	go func() {
		defer close(done)
		copying.Wait()
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
	}
}

// lookUp finds a program as a shell does, in the PATH that the command will have.
func lookUp(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		_, err := os.Stat(name)
		return name, err
	}
	var search string
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			search = value
		}
	}
	for _, folder := range filepath.SplitList(search) {
		path := filepath.Join(folder, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found in PATH=%s", name, search)
}
