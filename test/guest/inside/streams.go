package inside

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// streams are the command's stdin, stdout and stderr, and our ends of them.
type streams struct {
	command  []*os.File
	input    *os.File
	output   map[wire.Kind]*os.File
	terminal *os.File // our end of the command's terminal; nil: it has none
}

// openStreams makes pipes, or a pseudo-terminal of the given size.
func openStreams(size *wire.Size) (*streams, error) {
	if size != nil {
		return openTerminal(*size)
	}
	s := &streams{output: map[wire.Kind]*os.File{}}
	stdin, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.input, s.command = input, []*os.File{stdin}
	for _, kind := range []wire.Kind{wire.Stdout, wire.Stderr} {
		ours, theirs, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		s.output[kind], s.command = ours, append(s.command, theirs)
	}
	return s, nil
}

// openTerminal makes a pseudo-terminal: pty(7), ioctl_tty(2).
func openTerminal(size wire.Size) (*streams, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name the terminal: %w", err)
	}
	ours := os.NewFile(uintptr(fd), "/dev/ptmx")
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	s := &streams{
		command: []*os.File{theirs, theirs, theirs}, input: ours,
		output: map[wire.Kind]*os.File{wire.Stdout: ours}, terminal: ours,
	}
	return s, s.resize(size)
}

// resize tells the terminal's foreground process, by SIGWINCH, that the window has a new size.
func (s *streams) resize(size wire.Size) error {
	if s.terminal == nil {
		return nil
	}
	window := &unix.Winsize{Row: size.Rows, Col: size.Columns}
	return unix.IoctlSetWinsize(int(s.terminal.Fd()), unix.TIOCSWINSZ, window)
}

// closeCommandSide leaves the command the only holder of its ends, so that its end is the end of its outputs.
func (s *streams) closeCommandSide() {
	for _, file := range s.command {
		_ = file.Close()
	}
}

// closeInput is the end of the command's stdin. A terminal has none but its hangup.
func (s *streams) closeInput() {
	if s.terminal == nil {
		_ = s.input.Close()
	}
}
