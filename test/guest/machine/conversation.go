package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/loam-storage/loam/test/guest/terminal"
	"github.com/loam-storage/loam/test/guest/wire"
)

// guest is a kernel that is about to run as a process of this machine.
type guest struct {
	command   *exec.Cmd
	line      *os.File // our end of its serial line
	kernelEnd *os.File // its end, which we close once it is running
	share     wire.FileShare
	disks     []string // device nodes
}

// powerOffTime bounds how long a guest may take to write out its caches once the command has ended: a little over
// what the guest allows itself.
const powerOffTime = 15 * time.Second

// consoleLines is how many of a kernel's last lines explain a panic.
const consoleLines = 80

// converse boots the guest and speaks with its init until the command has ended.
func converse(ctx context.Context, options Options, g guest) (int, error) {
	var log console
	g.command.Stdout, g.command.Stderr = &log, &log
	kernel, err := startProcess(options.Init, g.command)
	_ = g.kernelEnd.Close()
	if err != nil {
		return 0, fmt.Errorf("start the guest: %w", err)
	}
	defer func() { <-kernel.ended }()
	defer context.AfterFunc(ctx, kernel.kill)()

	c := &conversation{options: options, guest: g, ended: make(chan struct{})}
	c.stdin = newCredit(wire.StdinWindow)
	c.pace = newCredit(wire.LineWindow)
	c.sender = wire.NewSender(pacedWriter{line: g.line, pace: c.pace, ended: c.ended})
	status, err := c.listen(kernel)
	close(c.ended)
	c.restoreTerminal()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		kernel.kill()
		<-kernel.ended
		return 0, &GuestError{Reason: err.Error(), Console: log.tail(consoleLines)}
	}
	select {
	case <-kernel.ended:
	case <-time.After(powerOffTime):
		kernel.kill()
		options.say("the guest did not power off in %v and was killed; what it had not written to its disks is lost", powerOffTime)
	}
	return status, nil
}

// conversation is the host's side of the wire.
type conversation struct {
	options Options
	guest   guest
	sender  *wire.Sender
	stdin   credit // what the guest has room for
	pace    credit // what its serial line has room for
	ended   chan struct{}
	restore func() error // what undoes raw mode
}

// errEnded says that the kernel ended while the command had not.
var errEnded = errors.New("the guest ended before the command did")

// listen takes the guest's frames up to the last.
func (c *conversation) listen(kernel *process) (int, error) {
	stop := c.stopListening(kernel)
	defer stop()
	for {
		kind, payload, err := wire.Read(c.guest.line)
		if err != nil {
			return 0, errEnded
		}
		switch kind {
		case wire.Ready:
			err = c.start()
		case wire.Stdout:
			_, err = c.options.Stdout.Write(payload)
		case wire.Stderr:
			_, err = c.options.Stderr.Write(payload)
		case wire.Exit:
			status, err := wire.ParseCount(payload)
			return int(status), err
		case wire.Failed:
			return 0, errors.New(string(payload))
		default:
			err = c.note(kind, payload)
		}
		if err != nil {
			return 0, err
		}
	}
}

// stopListening ends the listening soon after the kernel: a process of the guest that lingers holds the line open.
func (c *conversation) stopListening(kernel *process) (stop func()) {
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

// note takes the numbers that the guest sends.
func (c *conversation) note(kind wire.Kind, payload []byte) error {
	n, err := wire.ParseCount(payload)
	if err != nil {
		return err
	}
	switch kind {
	case wire.Credit:
		c.stdin.grant(n)
	case wire.Taken:
		c.pace.grant(n)
	case wire.Progress:
	}
	return nil
}

// start gives the guest its order and begins to pass stdin and signals.
func (c *conversation) start() error {
	order := wire.Command{
		Args: c.options.Args, Env: c.environment(), Dir: c.options.Dir,
		Writable: c.options.Writable, Disks: c.guest.disks, Share: c.guest.share,
	}
	if file := c.options.Terminal; file != nil {
		rows, columns, err := terminal.Size(file)
		if err != nil {
			return fmt.Errorf("the terminal's size: %w", err)
		}
		order.Terminal = &wire.Size{Rows: rows, Columns: columns}
		if c.restore, err = terminal.MakeRaw(file); err != nil {
			return fmt.Errorf("make the terminal raw: %w", err)
		}
	}
	if err := c.sender.JSON(wire.Start, order); err != nil {
		return err
	}
	go c.passStdin()
	go c.passSignals()
	return nil
}

func (c *conversation) restoreTerminal() {
	if c.restore != nil {
		_ = c.restore()
	}
}

// environment is what the command sees: the caller's, but for what would lead lvm to the host's configuration, with
// the folders of administration tools in PATH, and with the guest's disks.
func (c *conversation) environment() []string {
	var env []string
	path := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, variable := range c.options.Env {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "PATH":
			path = "PATH=" + value + ":/usr/sbin:/sbin"
		case "LVM_SYSTEM_DIR", "LOAM_DISKS", "LOAM_GUEST":
		default:
			env = append(env, variable)
		}
	}
	return append(env, path, "LOAM_DISKS="+strings.Join(c.guest.disks, ","), "LOAM_GUEST="+string(c.options.Kernel))
}

// passStdin sends the command's stdin as far as the guest has room for it.
func (c *conversation) passStdin() {
	buffer := make([]byte, 32<<10)
	for c.options.Stdin != nil {
		n, err := c.options.Stdin.Read(buffer)
		for data := buffer[:n]; len(data) > 0; {
			room := c.stdin.take(len(data), c.ended)
			if room == 0 || c.sender.Send(wire.Stdin, data[:room]) != nil {
				return
			}
			data = data[room:]
		}
		if err != nil {
			break // io.EOF, or an error that for the command is the end as well
		}
	}
	_ = c.sender.Send(wire.Stdin, nil)
}

// passSignals passes on signals, and the terminal's size as it changes.
func (c *conversation) passSignals() {
	resized, stop := c.watchSize()
	defer stop()
	for {
		select {
		case <-c.ended:
			return
		case <-resized:
			if rows, columns, err := terminal.Size(c.options.Terminal); err == nil {
				_ = c.sender.JSON(wire.Resize, wire.Size{Rows: rows, Columns: columns})
			}
		case received, ok := <-c.options.Signals:
			if !ok {
				c.options.Signals = nil
			} else if number, ok := signalNumber(received); ok {
				_ = c.sender.Count(wire.Signal, number)
			}
		}
	}
}

func (o *Options) say(format string, args ...any) {
	if o.Messages == nil {
		return
	}
	fmt.Fprintf(o.Messages, "guest: "+format+"\n", args...)
}

var _ io.Writer = (*console)(nil)
