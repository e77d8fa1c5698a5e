package lvm

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Numbers are the device numbers of all devices of device-mapper, by name.
type Numbers map[string]deviceNumber

// Of is the number of an active volume's device.
func (n Numbers) Of(vg, lv string) (major, minor uint32, ok bool) {
	number, ok := n[deviceName(vg, lv)]
	return number.major, number.minor, ok
}

// Numbers asks for all of them at once, without waiting for any device or lock (DM_LIST_DEVICES).
func (l *LVM) Numbers() (Numbers, error) {
	kernel, err := openControl()
	if err != nil {
		return nil, err
	}
	defer kernel.close()
	if err := kernel.ask(request{code: unix.DM_LIST_DEVICES, name: "DM_LIST_DEVICES"}); err != nil {
		return nil, err
	}
	return parseNumbers(kernel.reply)
}

// parseNumbers reads the answer: from data_start on for each device struct dm_name_list, of which next counts from its own beginning
// and is 0 in the last, and the name (include/uapi/linux/dm-ioctl.h). Without devices there is one, of number 0.
func parseNumbers(reply []byte) (Numbers, error) {
	var head unix.DmIoctl
	if err := decode(reply, &head); err != nil {
		return nil, err
	}
	all := Numbers{}
	const name = 12
	for at := tail(reply, head.Data_start); len(at) > name; {
		device, next := binary.NativeEndian.Uint64(at), binary.NativeEndian.Uint32(at[8:])
		if device != 0 {
			all[text(at[name:])] = deviceNumber{unix.Major(device), unix.Minor(device)}
		}
		if next == 0 {
			break
		}
		at = tail(at, next)
	}
	return all, nil
}
