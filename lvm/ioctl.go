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

// control is device-mapper as the kernel shows it. It is for one goroutine.
type control struct {
	file  *os.File
	reply []byte
}

func openControl() (*control, error) {
	file, err := os.OpenFile(controlDevice, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("this kernel or container has no usable %s: %w", controlDevice, err)
	}
	return &control{file, make([]byte, replySize)}, nil
}

func (c *control) close() { c.file.Close() }

// which is a device, by its name or by its UUID.
type which struct{ name, uuid string }

// status asks for the state of a device and of its targets (DM_TABLE_STATUS), without making a thin pool commit for it
// (DM_NOFLUSH_FLAG). The answer is good until the next call. Errors: ErrNoDevice.
func (c *control) status(w which) ([]byte, error) {
	for {
		head := unix.DmIoctl{
			Version: [3]uint32{4, 0, 0}, Data_size: uint32(len(c.reply)), Flags: unix.DM_NOFLUSH_FLAG,
			Data_start: uint32(unsafe.Sizeof(unix.DmIoctl{})),
		}
		copy(head.Name[:len(head.Name)-1], w.name)
		copy(head.Uuid[:len(head.Uuid)-1], w.uuid)
		clear(c.reply)
		if _, err := binary.Encode(c.reply, binary.NativeEndian, head); err != nil {
			return nil, err
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, c.file.Fd(), unix.DM_TABLE_STATUS, uintptr(unsafe.Pointer(&c.reply[0])))
		if errno == unix.ENXIO {
			return nil, ErrNoDevice
		} else if errno != 0 {
			return nil, fmt.Errorf("DM_TABLE_STATUS: %w", errno)
		}
		if err := decode(c.reply, &head); err != nil || head.Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return c.reply, err
		}
		if len(c.reply) >= maxReplySize {
			return nil, fmt.Errorf("DM_TABLE_STATUS: answer larger than %v", Bytes(maxReplySize))
		}
		c.reply = make([]byte, 8*len(c.reply))
	}
}
