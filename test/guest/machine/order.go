package machine

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/loam-storage/loam/test/guest/terminal"
	"github.com/loam-storage/loam/test/guest/wire"
)

// start gives the guest its order and begins to pass stdin and signals. It does not wait for the guest to take them:
// the guest says what it has taken to the very listener that calls this.
func (c *conversation) start() error {
	order := wire.Command{
		Args: c.options.Args, Env: environment(c.options.Env, c.options.Kernel, c.guest.disks), Dir: c.options.Dir,
		Writable: c.options.Writable, Disks: c.guest.disks, Modules: c.guest.modules,
	}
	if file := c.options.Terminal; file != nil {
		size, err := windowSize(file)
		if err != nil {
			return err
		}
		order.Terminal = &size
		if c.restore, err = terminal.MakeRaw(file); err != nil {
			return fmt.Errorf("make the terminal raw: %w", err)
		}
	}
	go func() {
		if err := c.sender.JSON(wire.Start, order); err != nil {
			c.end(fmt.Errorf("send the order to the guest: %w", err))
			return
		}
		go c.passSignals()
		c.passStdin()
	}()
	return nil
}

func windowSize(file *os.File) (wire.Size, error) {
	rows, columns, err := terminal.Size(file)
	if err != nil {
		return wire.Size{}, fmt.Errorf("the terminal's size: %w", err)
	}
	return wire.Size{Rows: rows, Columns: columns}, nil
}

// passStdin sends the command's stdin as far as the guest has room for it.
func (c *conversation) passStdin() {
	source := c.options.Stdin
	if c.options.Terminal != nil {
		source = &escapeReader{terminal: source, escape: func() { c.end(ErrEscaped) }}
	}
	if source != nil {
		_, _ = io.Copy(stdinWriter{c}, source) // its end, or an error that for the command is the end as well
	}
	_ = c.sender.Send(wire.Stdin, nil)
}

// stdinWriter sends what is written to it as the command's stdin.
type stdinWriter struct{ *conversation }

func (w stdinWriter) Write(data []byte) (int, error) {
	sent := 0
	for sent < len(data) {
		room := w.stdin.take(len(data)-sent, w.ended)
		if room == 0 {
			return sent, errLineEnded
		}
		if err := w.sender.Send(wire.Stdin, data[sent:sent+room]); err != nil {
			return sent, err
		}
		sent += room
	}
	return sent, nil
}

// passSignals passes on signals, and the terminal's size as it changes.
func (c *conversation) passSignals() {
	resized := make(chan os.Signal, 1)
	if c.options.Terminal != nil {
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
	}
	for {
		select {
		case <-c.ended:
			return
		case <-resized:
			if size, err := windowSize(c.options.Terminal); err == nil {
				_ = c.sender.JSON(wire.Resize, size)
			}
		case received := <-c.options.Signals:
			if number, ok := received.(syscall.Signal); ok {
				_ = c.sender.Count(wire.Signal, int64(number))
			}
		}
	}
}
