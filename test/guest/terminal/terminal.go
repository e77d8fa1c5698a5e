// Package terminal asks little of a terminal: whether a file is one, its size, and to pass every byte unchanged. See
// termios(3) and ioctl_tty(2).
package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Is says whether the file is a terminal.
func Is(file *os.File) bool {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// MakeRaw makes the terminal pass every byte unchanged, as cfmakeraw(3) does, and gives the way back.
func MakeRaw(file *os.File) (restore func() error, err error) {
	fd := int(file.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag &^= unix.CSIZE | unix.PARENB
	raw.Cflag |= unix.CS8 | unix.CLOCAL
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	restore = func() error { return unix.IoctlSetTermios(fd, unix.TCSETS, before) }
	return restore, unix.IoctlSetTermios(fd, unix.TCSETS, &raw)
}

// Size gives the terminal's height and width in characters.
func Size(file *os.File) (rows, columns uint16, err error) {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, err
	}
	return size.Row, size.Col, nil
}
