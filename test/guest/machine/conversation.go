package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/loam-storage/loam/test/guest/wire"
)

// guest is a kernel that is about to run as a process of this machine.
type guest struct {
	command   *exec.Cmd
	prepare   func() error // called on the thread that starts the command; may be nil
	log       *console     // receives all that is printed beside the line
	line      *os.File     // our end of its serial line
	kernelEnd *os.File     // its end, which we close once it is running
	bootTime  time.Duration
	drowsy    bool     // it may lose its timer, and is kept awake once it has booted
	modules   string   // the folder of its modules
	disks     []string // device nodes
}

// powerOffTime bounds how long a guest may take to write out its caches once the command has ended: a little over
// what the guest allows itself.
const powerOffTime = 15 * time.Second

var (
	errEnded  = errors.New("the guest ended before the command did")
	errNoBoot = errors.New("the guest did not boot in time")
)

// converse boots the guest and speaks with its init until the command has ended.
func converse(ctx context.Context, options Options, g guest) (int, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	g.command.Stdout, g.command.Stderr = g.log, g.log
	c := newConversation(options, g, end)
	kernel, err := startProcess(options.Init, g.command, g.prepare)
	_ = g.kernelEnd.Close()
	if err != nil {
		return 0, fmt.Errorf("start the guest: %w", err)
	}
	defer context.AfterFunc(ctx, kernel.kill)()
	boot := time.AfterFunc(g.bootTime, func() { end(errNoBoot) })
	defer boot.Stop()

	status, err := c.listen(kernel, boot)
	c.close()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		kernel.kill()
		<-kernel.ended
		return 0, explain(err, g.log)
	}
	if !kernel.endsWithin(powerOffTime) {
		options.say("the guest did not power off in %v and was killed; what it had not written to its disks is lost", powerOffTime)
	}
	c.times.powerOff = time.Now()
	if options.Verbose {
		options.say("%v", c.times)
	}
	return status, nil
}

// explain adds the kernel's own words to an error that is the guest's.
func explain(err error, log *console) error {
	if errors.Is(err, errEnded) || errors.Is(err, errNoBoot) {
		return &GuestError{Reason: err.Error(), Console: log.explanation()}
	}
	return err
}

// conversation is the host's side of the wire.
type conversation struct {
	options Options
	guest   guest
	sender  *wire.Sender
	stdin   credit // what the guest has room for
	pace    credit // what its serial line has room for
	times   times
	end     context.CancelCauseFunc // ends the guest
	ended   chan struct{}           // closed once there is nothing more to send
	restore func() error            // what undoes raw mode; nil: nothing does
}

func newConversation(options Options, g guest, end context.CancelCauseFunc) *conversation {
	c := &conversation{
		options: options, guest: g, end: end, ended: make(chan struct{}),
		stdin: newCredit(wire.StdinWindow), pace: newCredit(wire.LineWindow),
		times: times{start: time.Now()},
	}
	c.sender = wire.NewSender(pacedWriter{line: g.line, pace: c.pace, ended: c.ended})
	return c
}

// close ends the sending, and gives the terminal back.
func (c *conversation) close() {
	close(c.ended)
	if c.restore != nil {
		_ = c.restore()
	}
}

// listen takes the guest's frames up to the last.
func (c *conversation) listen(kernel *process, boot *time.Timer) (int, error) {
	defer c.listenOn(kernel)()
	for {
		kind, payload, err := wire.Read(c.guest.line)
		if err != nil {
			return 0, errEnded
		}
		switch kind {
		case wire.Ready:
			boot.Stop()
			if c.guest.drowsy {
				kernel.keepAwake()
			}
			err = c.start()
		case wire.Started:
			c.times.boot = time.Now()
		case wire.Stdout:
			_, err = c.options.Stdout.Write(payload)
		case wire.Stderr:
			_, err = c.options.Stderr.Write(payload)
		case wire.Credit:
			err = grant(c.stdin, payload)
		case wire.Taken:
			err = grant(c.pace, payload)
		case wire.Failed:
			err = &GuestError{Reason: string(payload)}
		case wire.Exit:
			c.times.exit = time.Now()
			status, err := wire.ParseCount(payload)
			return int(status), err
		}
		if err != nil {
			return 0, err
		}
	}
}

// listenOn ends the listening soon after the kernel: a process of the guest that lingers holds the line open.
func (c *conversation) listenOn(kernel *process) (stop func()) {
	stopped := make(chan struct{})
	go func() {
		select {
		case <-kernel.ended:
			_ = c.guest.line.SetReadDeadline(time.Now().Add(time.Second))
		case <-stopped:
		}
	}()
	return func() { close(stopped) }
}

// times are when the guest's stages ended.
type times struct{ start, boot, exit, powerOff time.Time }

func (t times) String() string {
	since := func(a, b time.Time) time.Duration { return b.Sub(a).Round(10 * time.Millisecond) }
	return fmt.Sprintf("booted in %v, the command took %v, powered off in %v",
		since(t.start, t.boot), since(t.boot, t.exit), since(t.exit, t.powerOff))
}
