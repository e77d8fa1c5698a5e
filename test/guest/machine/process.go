package machine

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a child that does not outlive this program, nor do its own children.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed once it has been waited for
}

// startProcess starts the command in a session of its own, which kill ends as a whole, and in a PID namespace of its
// own, whose processes the kernel kills with its first: pid_namespaces(7). That one has a parent-death signal
// (PR_SET_PDEATHSIG, prctl(2)), so that all are gone even when this program is killed. self is a program that calls
// TakeOver; prepare, if not nil, is called on the thread that starts the command.
func startProcess(self string, command *exec.Cmd, prepare func() error) (*process, error) {
	p, err := startWith(keeper(self, command), namespaces(), prepare)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		// A container may not make namespaces. Then only a SIGKILL of this program can leave threads of User Mode
		// Linux behind.
		return startWith(command, &syscall.SysProcAttr{}, prepare)
	}
	return p, err
}

// namespaces are a PID namespace and, for who is not root, the user namespace that it takes to make one.
func namespaces() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if user, group := os.Geteuid(), os.Getegid(); user != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: user, HostID: user, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: group, HostID: group, Size: 1}}
	}
	return attributes
}

// startWith starts and waits on a thread of its own, because a parent-death signal comes when the thread that started
// the child ends.
func startWith(command *exec.Cmd, attributes *syscall.SysProcAttr, prepare func() error) (*process, error) {
	attributes.Setsid, attributes.Pdeathsig = true, syscall.SIGKILL
	command.SysProcAttr = attributes
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		var err error
		if prepare != nil {
			err = prepare()
		}
		if err == nil {
			err = p.command.Start()
		}
		started <- err
		if err == nil {
			_ = p.command.Wait() // how a guest's kernel exits says nothing about the command in it
		}
		close(p.ended)
	}()
	return p, <-started
}

// kill ends the whole session.
func (p *process) kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
}

// endsWithin waits for the process to end, kills it when it has not in time, and says which it was.
func (p *process) endsWithin(bound time.Duration) bool {
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		p.kill()
		<-p.ended
		return false
	}
}

// wake is what the host's timer sends to User Mode Linux when the guest's timer has run out: timer_create(2).
const wake = syscall.SIGALRM

// keepAwake sends wake each second, until the process has ended. Once in some hundred guests User Mode Linux misses the signal, sets no
// timer any more, and waits for ever. One signal too many does no harm: it looks what has run out, and sets its timer anew.
func (p *process) keepAwake() {
	go func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-second.C:
				_ = p.command.Process.Signal(wake)
			case <-p.ended:
				return
			}
		}
	}()
}
