package inside

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/terminal"
	"github.com/loam-storage/loam/test/guest/wire"
)

// openLine opens the line to the host so that it passes every byte unchanged, both ways.
func openLine(share wire.FileShare) (*os.File, error) {
	if share == wire.HostFS {
		return openSerial("/dev/ttyS0")
	}
	for _, m := range []struct{ path, kind string }{{"/proc", "proc"}, {"/sys", "sysfs"}, {"/dev", "devtmpfs"}} {
		if err := mount(m.kind, m.path, m.kind, 0, ""); err != nil {
			return nil, err
		}
	}
	if err := loadModules(installedModules, EarlyModules(share)); err != nil {
		return nil, err
	}
	return openPort()
}

// openSerial opens a serial line. The kernel has mounted devtmpfs, as Debian configures User Mode Linux.
func openSerial(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	line := os.NewFile(uintptr(fd), path)
	if _, err := terminal.MakeRaw(line); err != nil {
		return nil, fmt.Errorf("make %s raw: %w", path, err)
	}
	return line, nil
}

// openPort opens the virtio-serial port that the host gave a name. Ports are announced one by one once the driver
// runs (virtio specification, 5.3.6), so it may take a moment to appear.
func openPort() (*os.File, error) {
	for range 500 {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, path := range names {
			name, err := os.ReadFile(path)
			if err == nil && strings.TrimSpace(string(name)) == wire.PortName {
				return openCharacter(filepath.Join("/dev", filepath.Base(filepath.Dir(path))))
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("no virtio-serial port named %s", wire.PortName)
}

// openCharacter opens a device for blocking reads and writes.
func openCharacter(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// drain waits until the host has the last frame: tcdrain(3). A virtio-serial port hands over every write at once.
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
