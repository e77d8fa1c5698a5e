package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long an agent that was told to end may take for it.
const stopWithin = 30 * time.Second

// agent is the agent that the demo started.
type agent struct {
	process *exec.Cmd
	log     *os.File
	ended   chan struct{} // closed when it has ended
	err     error         // how; to be read after that
}

// startAgent starts loam agent with that configuration; its log goes to a file without a name.
func startAgent(loam, config string) (*agent, error) {
	log, err := os.CreateTemp("", "loam-agent-*.log")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(log.Name()); err != nil {
		return nil, err
	}
	a := &agent{process: exec.Command(loam, "agent", "--config", config), log: log, ended: make(chan struct{})}
	a.process.Stderr = log
	if err := a.process.Start(); err != nil {
		return nil, err
	}
	go func() { // stop waits for it
		defer close(a.ended)
		a.err = a.process.Wait()
	}()
	return a, nil
}

// gone says how the agent ended, if it has.
func (a *agent) gone() error {
	select {
	case <-a.ended:
		return fmt.Errorf("the agent ended by itself: %v", a.process.ProcessState)
	default:
		return nil
	}
}

// stop asks the agent to end and waits until it has, with exit code 0.
func (a *agent) stop() error {
	if err := a.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-a.ended:
		if a.err != nil {
			return fmt.Errorf("the agent did not end well: %w", a.err)
		}
		return nil
	case <-time.After(stopWithin):
		return fmt.Errorf("the agent does not end within %v", stopWithin)
	}
}

// logTail is the end of the agent's log.
func (a *agent) logTail() string {
	info, err := a.log.Stat()
	if err != nil {
		return err.Error()
	}
	tail := make([]byte, min(info.Size(), 4<<10))
	if _, err := a.log.ReadAt(tail, info.Size()-int64(len(tail))); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(tail))
}
