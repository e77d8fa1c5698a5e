package lvm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Watch calls tell whenever device-mapper has had an event: a thin pool that ran out of space, changed its mode or was
// resized, a device that failed. It returns when the context ends, and earlier with an error where the kernel cannot tell
// (DM_DEV_ARM_POLL, Linux 4.13). tell is called once at the beginning, too: from then on nothing is missed.
func (l *LVM) Watch(ctx context.Context, tell func()) error {
	kernel, err := openControl()
	if err != nil {
		return err
	}
	defer kernel.close()
	quit, end, err := os.Pipe() // what wakes poll(2) when the context ends
	if err != nil {
		return err
	}
	defer quit.Close()
	defer end.Close()
	defer context.AfterFunc(ctx, func() { end.Close() })()
	for ctx.Err() == nil {
		if err := kernel.arm(); err != nil {
			return err
		}
		tell()
		fds := []unix.PollFd{{Fd: int32(kernel.fd), Events: unix.POLLIN}, {Fd: int32(quit.Fd())}}
		for {
			if _, err = unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("poll: %w", err)
		}
	}
	return nil
}
