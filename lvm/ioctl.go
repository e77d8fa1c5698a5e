package lvm

import (
	"errors"
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/unix"
)

const controlDevice = "/dev/mapper/control"

// replySize is enough for one target, as most devices have, and the kernel copies all of it both ways; a larger answer sets
// DM_BUFFER_FULL_FLAG.
const (
	replySize    = 512
	maxReplySize = 16 << 20
)

// control is device-mapper as the kernel shows it. It is for one goroutine.
type control struct {
	fd    int
	reply []byte
}

func openControl() (*control, error) {
	fd, err := open(controlDevice, unix.O_RDWR)
	if err != nil {
		return nil, fmt.Errorf("this kernel or container has no usable device-mapper: %w", err)
	}
	return &control{fd, make([]byte, replySize)}, nil
}

func (c *control) close() { unix.Close(c.fd) }

// open is open(2) and nothing else. An os.File takes three more calls of the kernel, and one each time it is asked for its descriptor,
// which made half of what a report of many volumes takes.
func open(path string, flags int) (fd int, err error) {
	for {
		fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0o777)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// which is a device, by its name or by its UUID.
type which struct{ name, uuid string }

// status asks for the state of a device and of its targets (DM_TABLE_STATUS), without making a thin pool commit for it
// (DM_NOFLUSH_FLAG). Errors: ErrNoDevice.
func (c *control) status(w which) (mapping, error) {
	return c.read(request{code: unix.DM_TABLE_STATUS, name: "DM_TABLE_STATUS", which: w, flags: unix.DM_NOFLUSH_FLAG})
}

// table asks for what a device's targets are made of, in place of their state.
func (c *control) table(w which) (mapping, error) {
	return c.read(request{code: unix.DM_TABLE_STATUS, name: "DM_TABLE_STATUS", which: w, flags: unix.DM_NOFLUSH_FLAG | unix.DM_STATUS_TABLE_FLAG})
}

// load gives a device another table, which it has from when it is resumed.
func (c *control) load(w which, targets ...target) error {
	return c.ask(request{code: unix.DM_TABLE_LOAD, name: "DM_TABLE_LOAD", which: w, targets: targets})
}

// unload takes back what load gave.
func (c *control) unload(w which) error {
	return c.ask(request{code: unix.DM_TABLE_CLEAR, name: "DM_TABLE_CLEAR", which: w})
}

// suspend holds a device's requests back, without waiting for those under way and without freezing its file system.
func (c *control) suspend(w which) error {
	flags := uint32(unix.DM_SUSPEND_FLAG | unix.DM_NOFLUSH_FLAG | unix.DM_SKIP_LOCKFS_FLAG)
	return c.ask(request{code: unix.DM_DEV_SUSPEND, name: "suspending", which: w, flags: flags})
}

func (c *control) resume(w which) error {
	return c.ask(request{code: unix.DM_DEV_SUSPEND, name: "resuming", which: w})
}

// freeze suspends a device as it must be for a snapshot: its file system has written everything, and so has the device.
func (c *control) freeze(w which) error {
	return c.ask(request{code: unix.DM_DEV_SUSPEND, name: "suspending", which: w, flags: unix.DM_SUSPEND_FLAG})
}

// message tells a device's target something (DM_TARGET_MSG).
func (c *control) message(w which, text string) error {
	return c.ask(request{code: unix.DM_TARGET_MSG, name: text, which: w, message: text})
}

// remove takes a device away that is not open.
func (c *control) remove(w which) error {
	return c.ask(request{code: unix.DM_DEV_REMOVE, name: "DM_DEV_REMOVE", which: w})
}

// request is one ioctl (include/uapi/linux/dm-ioctl.h).
type request struct {
	code    uintptr
	name    string
	which   which
	version [3]uint32 // of the interface that it needs; zero for the first
	flags   uint32
	targets []target // status is what they are made of
	message string
}

// read asks for what a device is.
func (c *control) read(r request) (mapping, error) {
	if err := c.ask(r); err != nil {
		return mapping{}, err
	}
	return parseStatus(c.reply)
}

// ask leaves the answer in c.reply, until the next time.
func (c *control) ask(r request) error {
	if size := r.size(); size > len(c.reply) {
		c.reply = make([]byte, size)
	}
	for {
		r.encode(c.reply)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(c.fd), r.code, uintptr(unsafe.Pointer(&c.reply[0])))
		if errno == unix.ENXIO {
			return ErrNoDevice
		} else if errno != 0 {
			return fmt.Errorf("%s: %w", r.name, errno)
		}
		var head unix.DmIoctl
		if err := decode(c.reply, &head); err != nil {
			return err
		}
		if head.Flags&unix.DM_BUFFER_FULL_FLAG == 0 {
			return nil
		}
		if len(c.reply) >= maxReplySize {
			return fmt.Errorf("%s: answer larger than %v", r.name, Bytes(maxReplySize))
		}
		c.reply = make([]byte, 8*len(c.reply))
	}
}

// size is how much room a request takes.
func (r request) size() int {
	size := int(unsafe.Sizeof(unix.DmIoctl{})) + len(r.message) + 16
	for _, t := range r.targets {
		size += t.encoded()
	}
	return size
}

// encoded is how much room a target takes: its text ends with a NUL, and the next one begins at a multiple of eight bytes.
func (t target) encoded() int {
	return (int(unsafe.Sizeof(unix.DmTargetSpec{})) + len(t.status) + 8) / 8 * 8
}

// encode writes struct dm_ioctl and the targets behind it: each a struct dm_target_spec, whose next counts from its own
// beginning, and what it is made of as text, up to a multiple of eight bytes.
func (r request) encode(b []byte) {
	clear(b)
	const start = uint32(unsafe.Sizeof(unix.DmIoctl{}))
	head := unix.DmIoctl{
		Version: r.version, Data_size: uint32(len(b)), Flags: r.flags, Data_start: start, Target_count: uint32(len(r.targets)),
	}
	if head.Version[0] == 0 {
		head.Version = [3]uint32{4, 0, 0}
	}
	copy(head.Name[:len(head.Name)-1], r.which.name)
	copy(head.Uuid[:len(head.Uuid)-1], r.which.uuid)
	at := copy(b, bytesOf(&head))
	if r.message != "" {
		copy(b[at+8:len(b)-1], r.message) // struct dm_target_msg: the sector, 0, and the text
	}
	for _, t := range r.targets {
		size := t.encoded()
		spec := unix.DmTargetSpec{Sector_start: t.start, Length: t.length, Next: uint32(size)}
		copy(spec.Target_type[:len(spec.Target_type)-1], t.kind)
		n := copy(b[at:], bytesOf(&spec))
		copy(b[at+n:], t.status)
		at += size
	}
}

// arm has the control device be readable after the next event of any device (DM_DEV_ARM_POLL).
func (c *control) arm() error {
	return c.ask(request{code: unix.DM_DEV_ARM_POLL, name: "DM_DEV_ARM_POLL", version: [3]uint32{4, 37, 0}})
}
