package lvmtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// release removes every device-mapper device on the disks, so that the kernel holds them no more, and makes them blank for
// tests that look at all disks there are. It asks the kernel instead of LVM, which a test may have left in any state, and
// which would take a second for what takes milliseconds.
func release(t testing.TB, disks []string) {
	for _, d := range disks {
		if err := errors.Join(releaseDisk(filepath.Base(d)), wipe(d)); err != nil {
			t.Errorf("clean up after the test: %v", err)
		}
	}
}

// releaseDisk removes what holds a block device, what holds that before it (sysfs: block/<name>/holders).
func releaseDisk(name string) error {
	holders, err := os.ReadDir(filepath.Join("/sys/class/block", name, "holders"))
	if err != nil {
		return err
	}
	for _, h := range holders {
		mapped, err := os.ReadFile(filepath.Join("/sys/class/block", h.Name(), "dm", "name"))
		if errors.Is(err, os.ErrNotExist) {
			continue // gone with another holder, or not of device-mapper
		}
		if err == nil {
			err = releaseDisk(h.Name())
		}
		if err == nil {
			err = removeMapped(strings.TrimSpace(string(mapped)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeMapped removes a device-mapper device (DM_DEV_REMOVE, include/uapi/linux/dm-ioctl.h), and what LVM made in /dev for
// it where there is no udev.
func removeMapped(name string) error {
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	size := unsafe.Sizeof(unix.DmIoctl{})
	head := unix.DmIoctl{Version: [3]uint32{4, 0, 0}, Data_size: uint32(size), Data_start: uint32(size)}
	copy(head.Name[:len(head.Name)-1], name)
	request := make([]byte, size)
	if _, err := binary.Encode(request, binary.NativeEndian, head); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.DM_DEV_REMOVE, uintptr(unsafe.Pointer(&request[0]))); errno != 0 {
		return fmt.Errorf("remove device %s: %w", name, errno)
	}
	return removeNodes(name)
}

// removeNodes removes /dev/mapper/<vg>-<lv>, in which a dash inside a part is doubled, and /dev/<vg>/<lv>.
func removeNodes(name string) error {
	const dash = "\x00"
	parts := strings.SplitN(strings.ReplaceAll(name, "--", dash), "-", 2)
	paths := []string{filepath.Join("/dev/mapper", name)}
	if len(parts) == 2 {
		vg, lv := strings.ReplaceAll(parts[0], dash, "-"), strings.ReplaceAll(parts[1], dash, "-")
		paths = append(paths, filepath.Join("/dev", vg, lv))
	}
	for _, p := range paths {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			return err
		}
	}
	if len(parts) == 2 {
		_ = os.Remove(filepath.Dir(paths[1])) // with the group's last volume
	}
	return nil
}
