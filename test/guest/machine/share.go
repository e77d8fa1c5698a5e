package machine

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// fileShare is a running virtiofsd: the host's files for a virtual machine.
type fileShare struct {
	address string // of an abstract unix socket, which has no file: unix(7)
	server  *process
}

// shareFiles starts virtiofsd, which waits for QEMU to connect. Its sandbox is the lesser one, chroot, as the other
// needs rights that a container lacks, and as what it shares is everything.
func shareFiles(self string, log *console) (*fileShare, error) {
	address := "loam-guest-" + rand.Text()
	socket, err := listenAbstract(address)
	if err != nil {
		return nil, fmt.Errorf("socket to share files: %w", err)
	}
	defer socket.Close()
	command := exec.Command(virtiofsd, "--fd=3", "-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always", "-o", "log_level=err")
	command.ExtraFiles = []*os.File{socket}
	command.Stdout, command.Stderr = log, log
	server, err := startProcess(self, command, nil)
	if err != nil {
		return nil, fmt.Errorf("share files: %w", err)
	}
	return &fileShare{address, server}, nil
}

// stop ends virtiofsd, which it does by itself when QEMU is gone.
func (s *fileShare) stop() {
	s.server.kill()
	<-s.server.ended
}

func listenAbstract(address string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	socket := os.NewFile(uintptr(fd), address)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + address}); err != nil {
		_ = socket.Close()
		return nil, err
	}
	if err := unix.Listen(fd, 1); err != nil {
		_ = socket.Close()
		return nil, err
	}
	return socket, nil
}
