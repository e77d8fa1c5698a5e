package lvm

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Device reads an active volume from the kernel, without a process and without waiting for any lock of LVM. A node that LVM did
// not live to make is made, so that Path can be opened. Errors: ErrNoDevice when it is not active or does not exist; ErrSilent; ErrName.
func (l *LVM) Device(vg, lv string) (Device, error) {
	if err := CheckVolume(vg, lv); err != nil {
		return Device{}, err
	}
	name := deviceName(vg, lv)
	m, err := l.status(name)
	if err != nil {
		return Device{}, fmt.Errorf("%s/%s: %w", vg, lv, err)
	}
	d, err := deviceOf(m)
	if err != nil {
		return Device{}, fmt.Errorf("%s/%s: device %s: %w", vg, lv, name, err)
	}
	d.Path = "/dev/mapper/" + name
	return d, makeNode(d.Path, m.number)
}

// status asks the kernel about a device.
func (l *LVM) status(name string) (mapping, error) {
	return ask(&l.asked, "device "+name, func() (mapping, error) {
		kernel, err := openControl()
		if err != nil {
			return mapping{}, err
		}
		defer kernel.close()
		return kernel.status(which{name: name})
	})
}

// makeNode sees to it that a device's node is there. Usually LVM, or udev, has made it; the former does so after everything else,
// so that a command that was killed may have left none, or another device's.
func makeNode(path string, number deviceNumber) error {
	wanted := unix.Mkdev(number.major, number.minor)
	is := func() (bool, error) {
		var s unix.Stat_t
		err := unix.Stat(path, &s)
		return err == nil && s.Mode&unix.S_IFMT == unix.S_IFBLK && s.Rdev == wanted, err
	}
	right, err := is()
	switch {
	case right:
		return nil
	case err != nil && !errors.Is(err, unix.ENOENT):
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if err := unix.Unlink(path); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "unlink", Path: path, Err: err}
	}
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(wanted)); err != nil {
		if right, _ := is(); right { // udev was quicker
			return nil
		}
		return &fs.PathError{Op: "mknod", Path: path, Err: err}
	}
	return nil
}

// uuidPrefix begins the device-mapper UUID of everything that LVM makes; the group's UUID, the volume's and for parts of
// a volume a dash and a suffix follow.
const uuidPrefix = "LVM-"

func deviceOf(m mapping) (Device, error) {
	d := Device{Major: m.number.major, Minor: m.number.minor, Size: m.size(), Suspended: m.suspended, OpenCount: m.open}
	ids, ok := strings.CutPrefix(m.uuid, uuidPrefix)
	if !ok || len(ids) < 64 || dashed(ids[32:64]) == "" {
		return Device{}, fmt.Errorf("is not LVM's: UUID %q", m.uuid)
	}
	d.UUID = dashed(ids[32:64])
	for _, t := range m.targets {
		if t.kind == string(Thin) {
			d.Mapped = mapped(t.status)
		}
	}
	return d, nil
}

// mapping is a device of device-mapper with the status of its targets.
type mapping struct {
	name      string
	uuid      string
	number    deviceNumber
	open      int
	suspended bool
	readOnly  bool
	loaded    bool // it has another table, to be used when it is resumed
	targets   []target
}

// target is one part of a device's table.
type target struct {
	start, length uint64 // sectors
	kind, status  string
}

func (m mapping) size() (size Bytes) {
	for _, t := range m.targets {
		size = max(size, Bytes(t.start+t.length)*Sector)
	}
	return size
}

// maxDeviceSectors is the kernel's own limit: a device's size in bytes is a loff_t.
const maxDeviceSectors = (1<<63 - 1) / uint64(Sector)

// parseStatus reads the answer to DM_TABLE_STATUS: struct dm_ioctl, then at data_start one struct dm_target_spec for each
// target, each followed by its status as text. spec.next counts from data_start (include/uapi/linux/dm-ioctl.h).
func parseStatus(reply []byte) (mapping, error) {
	var head unix.DmIoctl
	if err := decode(reply, &head); err != nil {
		return mapping{}, err
	}
	m := mapping{
		name: text(head.Name[:]), uuid: text(head.Uuid[:]), number: deviceNumber{unix.Major(head.Dev), unix.Minor(head.Dev)}, open: int(head.Open_count),
		suspended: head.Flags&unix.DM_SUSPEND_FLAG != 0, readOnly: head.Flags&unix.DM_READONLY_FLAG != 0,
		loaded: head.Flags&unix.DM_INACTIVE_PRESENT_FLAG != 0,
	}
	targets, next := tail(reply, head.Data_start), uint32(0)
	for range head.Target_count {
		at := tail(targets, next)
		var spec unix.DmTargetSpec
		if err := decode(at, &spec); err != nil {
			return mapping{}, err
		}
		end := spec.Sector_start + spec.Length
		if end < spec.Length || end > maxDeviceSectors || spec.Next <= next {
			return mapping{}, errors.New("malformed status from device-mapper")
		}
		m.targets = append(m.targets, target{spec.Sector_start, spec.Length, text(spec.Target_type[:]), text(tail(at, uint32(unsafe.Sizeof(spec))))})
		next = spec.Next
	}
	return m, nil
}

// mapped reads a thin target's status: "<sectors> <highest sector>", or "Fail" when the pool failed (kernel:
// Documentation/admin-guide/device-mapper/thin-provisioning.rst). -1 says that nobody knows.
func mapped(status string) Bytes {
	sectors, _, _ := strings.Cut(status, " ")
	n, err := strconv.ParseUint(sectors, 10, 63)
	if err != nil || n > maxDeviceSectors {
		return -1
	}
	return Bytes(n) * Sector
}

// decode reads one of the kernel's structs; those of device-mapper have the same layout in Go. Package encoding/binary takes
// thirty times as long, for each volume of each report.
func decode[T any](b []byte, into *T) error {
	whole := bytesOf(into)
	if len(b) < len(whole) {
		return errors.New("short status from device-mapper")
	}
	copy(whole, b)
	return nil
}

// bytesOf is the memory of a struct.
func bytesOf[T any](of *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(of)), unsafe.Sizeof(*of))
}

// tail is b from offset on; empty when b ends before.
func tail(b []byte, offset uint32) []byte {
	if uint64(offset) > uint64(len(b)) {
		return nil
	}
	return b[offset:]
}

// text is what stands before the first NUL.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
