package machine

import (
	"os/exec"
	"runtime"
	"syscall"
)

// process is a child that cannot outlive this program: it leads a session of its own, which is killed as a whole, and
// the kernel kills it should this program be killed (PR_SET_PDEATHSIG, prctl(2)).
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed once it has been waited for
}

// startProcess starts the command and waits for it on a thread of its own, because a parent-death signal comes when
// the thread that started the child ends.
func startProcess(command *exec.Cmd) (*process, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setsid = true
	command.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how a guest's kernel exits says nothing about the command in it
		}
		close(p.ended)
	}()
	return p, <-started
}

// kill ends the whole session.
func (p *process) kill() {
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
}
