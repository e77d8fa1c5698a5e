package lvm

import (
	"encoding/binary"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const controlDevice = "/dev/mapper/control"

// replySize is enough for hundreds of targets; a larger answer sets DM_BUFFER_FULL_FLAG.
const (
	replySize    = 16 << 10
	maxReplySize = 16 << 20
)

// tableStatus asks the kernel for the state of a device and of its targets (DM_TABLE_STATUS), without making a thin pool
// commit for it (DM_NOFLUSH_FLAG). Errors: ErrNoDevice.
func tableStatus(name string) ([]byte, error) {
	control, err := os.OpenFile(controlDevice, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("this kernel or container has no usable %s: %w", controlDevice, err)
	}
	defer control.Close()
	for size := replySize; size <= maxReplySize; size *= 8 {
		reply := make([]byte, size)
		head := unix.DmIoctl{
			Version: [3]uint32{4, 0, 0}, Data_size: uint32(size), Flags: unix.DM_NOFLUSH_FLAG,
			Data_start: uint32(unsafe.Sizeof(unix.DmIoctl{})),
		}
		copy(head.Name[:len(head.Name)-1], name)
		if _, err := binary.Encode(reply, binary.NativeEndian, head); err != nil {
			return nil, err
		}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), unix.DM_TABLE_STATUS, uintptr(unsafe.Pointer(&reply[0]))); errno == unix.ENXIO {
			return nil, ErrNoDevice
		} else if errno != 0 {
			return nil, fmt.Errorf("DM_TABLE_STATUS: %w", errno)
		}
		if err := decode(reply, &head); err != nil || head.Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return reply, err
		}
	}
	return nil, fmt.Errorf("DM_TABLE_STATUS: answer larger than %v", Bytes(maxReplySize))
}
