package inside

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/terminal"
	"github.com/loam-storage/loam/test/guest/wire"
)

// linePath is User Mode Linux's first serial line.
const linePath = "/dev/ttyS0"

// openLine opens the serial line to the host and makes it pass every byte unchanged, both ways.
func openLine() (*os.File, error) {
	if err := mountDevices("/dev"); err != nil {
		return nil, err
	}
	// O_NOCTTY, and plain syscalls: a blocking descriptor suits one reader and one writer.
	fd, err := unix.Open(linePath, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", linePath, err)
	}
	line := os.NewFile(uintptr(fd), linePath)
	if _, err := terminal.MakeRaw(line); err != nil {
		return nil, fmt.Errorf("make %s raw: %w", linePath, err)
	}
	return line, nil
}

// drain waits until the host has the last frame: tcdrain(3).
func drain(line *os.File) {
	_ = unix.IoctlSetInt(int(line.Fd()), unix.TCSBRK, 1)
}

// reader reads the line and tells the host how far, see wire.LineWindow.
type reader struct {
	line io.Reader
	out  *wire.Sender
}

func (r reader) Read(buffer []byte) (int, error) {
	n, err := r.line.Read(buffer)
	if n > 0 {
		if err := r.out.Count(wire.Taken, int64(n)); err != nil {
			return n, err
		}
	}
	return n, err
}
