package lvm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrPieces says that a volume's bytes are not in one piece on one device.
var ErrPieces = errors.New("logical volume is not in one piece on one disk")

// Extent is a part of a block device.
type Extent struct {
	Major, Minor uint32
	Start, Size  Bytes
}

// Extent says where on its disk an active linear volume is, as the kernel has it at that moment. Errors: ErrNoDevice, ErrPieces,
// ErrSilent, ErrName.
func (l *LVM) Extent(vg, lv string) (Extent, error) {
	if err := CheckVolume(vg, lv); err != nil {
		return Extent{}, err
	}
	name := deviceName(vg, lv)
	m, err := ask(&l.asked, "table of "+name, func() (mapping, error) {
		kernel, err := openControl()
		if err != nil {
			return mapping{}, err
		}
		defer kernel.close()
		return kernel.table(which{name: name})
	})
	if err != nil {
		return Extent{}, fmt.Errorf("%s/%s: %w", vg, lv, err)
	}
	e, err := extentOf(m.targets)
	if err != nil {
		return Extent{}, fmt.Errorf("%s/%s: %w", vg, lv, err)
	}
	return e, nil
}

// extentOf reads a table of one linear target, which is made of "<major>:<minor> <sector>" (kernel:
// Documentation/admin-guide/device-mapper/linear.rst).
func extentOf(table []target) (Extent, error) {
	if len(table) != 1 || table[0].kind != string(Linear) || table[0].start != 0 {
		return Extent{}, ErrPieces
	}
	device, start, _ := strings.Cut(table[0].status, " ")
	major, minor, _ := strings.Cut(device, ":")
	var numbers [3]uint64
	for i, s := range []string{major, minor, start} {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil || i < 2 && n > 1<<32-1 || n > maxDeviceSectors {
			return Extent{}, fmt.Errorf("malformed linear target %.100q", table[0].status)
		}
		numbers[i] = n
	}
	return Extent{Major: uint32(numbers[0]), Minor: uint32(numbers[1]), Start: Bytes(numbers[2]) * Sector, Size: Bytes(table[0].length) * Sector}, nil
}

// Is says whether that is the number of the extent's device, as stat(2) has it.
func (e Extent) Is(rdev uint64) bool { return unix.Mkdev(e.Major, e.Minor) == rdev }
