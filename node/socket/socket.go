// Package socket makes unix sockets that only root may use: the agent's own, and the one that a kubelet looks for.
// It never takes one away from a process that serves there.
package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of Listen.
var (
	ErrInUse     = errors.New("another process is serving there")
	ErrNotSocket = errors.New("exists and is not a socket")
)

// answerWithin is how long a process that serves already may take to accept a connection.
const answerWithin = time.Second

// Listen makes a unix socket, and the folder that it is in, in place of one that a killed process left behind. Closing the
// listener removes the socket, unless SetUnlinkOnClose says otherwise. Errors: ErrInUse, ErrNotSocket.
func Listen(ctx context.Context, path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := clearStale(ctx, path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: onlyRoot}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	return l.(*net.UnixListener), nil
}

// clearStale removes what a killed process left behind.
func clearStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if info.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("%s: %w", path, ErrNotSocket)
	}
	if conn, err := (&net.Dialer{Timeout: answerWithin}).DialContext(ctx, "unix", path); err == nil {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), conn.Close())
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return nil
}

// onlyRoot restricts a socket before it has a name, so that there is no moment in which others could connect: bind gives
// the file the socket's own mode (Linux, unix_bind_bsd). A umask would be every goroutine's.
func onlyRoot(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) }); err != nil {
		return err
	}
	return failed
}
