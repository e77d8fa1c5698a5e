package machine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// attachLoops makes a loop device of each file: loop(4).
func attachLoops(images []*os.File) (loops []string, err error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("this machine's kernel has no loop devices: %w", err)
	}
	defer control.Close()
	for _, image := range images {
		loop, err := attachLoop(control, image)
		if err != nil {
			return loops, fmt.Errorf("loop device: %w", err)
		}
		loops = append(loops, loop)
	}
	return loops, nil
}

// attachLoop takes the next free loop device, and the next again should another process be faster.
func attachLoop(control, image *os.File) (string, error) {
	for {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", err
		}
		path := fmt.Sprintf("/dev/loop%d", number)
		loop, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return "", err
		}
		err = unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(image.Fd()))
		_ = loop.Close()
		if !errors.Is(err, unix.EBUSY) {
			return path, err
		}
	}
}

// detachLoops frees the loop devices. One that the command left in use is named.
func detachLoops(loops []string) error {
	var failed []error
	for _, path := range loops {
		loop, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			err = unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_CLR_FD, 0)
			_ = loop.Close()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("free %s: %w", path, err))
		}
	}
	return errors.Join(failed...)
}
