package lvm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disk is a device as it was last read.
type disk struct {
	heads  []byte // its label and the headers of its metadata areas, as they were
	number deviceNumber
	label
	areas  []area
	silent bool        // it did not answer: what it said last; nothing, if it never did
	group  VolumeGroup // that its metadata describes; see hasGroup
	text   []byte      // of the metadata
	sum    uint32      // its checksum
}

func (d disk) hasGroup() bool { return d.group.UUID != "" }

// headSize is what is read of each device: its label and, where LVM puts it by default, the header of a metadata area.
const headSize = 8 << 10

// readDisk reads one device. What is known of it is taken from before as far as its heads are what they were.
func readDisk(path string, before disk) (disk, error) {
	f, err := openDirect(path)
	if err != nil {
		return disk{}, err
	}
	defer f.Close()
	d := disk{}
	if d.number, err = numberOf(f); err != nil {
		return disk{}, err
	}
	for range attempts {
		if err = d.readHeads(f); err != nil {
			return disk{}, err
		}
		if bytes.Equal(d.heads, before.heads) && d.number == before.number {
			before.silent = false
			return before, nil
		}
		if err = d.readMetadata(f); !errors.Is(err, errTorn) {
			return d, err
		}
	}
	return disk{}, err
}

// errTorn says that a text is not what its header says: both are read again, as it may have been written meanwhile.
var errTorn = errors.New("metadata and its checksum do not agree")

func (d *disk) readHeads(f *os.File) error {
	head, err := readDirect(f, location{0, headSize})
	if err != nil {
		return err
	}
	d.label, _, err = parseLabel(head)
	if err != nil {
		return err
	}
	d.heads, d.areas = slices.Clone(head[:labelSectors*int(Sector)]), nil
	for _, at := range d.label.areas {
		var header []byte
		if at.Offset <= headSize-areaHeader {
			header = head[at.Offset:][:areaHeader]
		} else if header, err = readDirect(f, location{at.Offset, areaHeader}); err != nil {
			return err
		}
		a, err := parseArea(header, at)
		if err != nil {
			return err
		}
		d.areas, d.heads = append(d.areas, a), append(d.heads, header...)
	}
	return nil
}

// readMetadata reads the metadata once.
func (d *disk) readMetadata(f *os.File) (err error) {
	d.group, d.sum = VolumeGroup{}, 0
	d.text, err = d.readText(f)
	if err != nil || len(d.text) == 0 {
		return err
	}
	d.sum = checksum(d.text)
	d.group, err = parseMetadata(d.text)
	return err
}

// readText sees to it that all areas of the device say the same, and returns nothing when they are empty.
func (d *disk) readText(f *os.File) (text []byte, err error) {
	for i, a := range d.areas {
		var t []byte
		for _, part := range a.parts() {
			b, err := readDirect(f, part)
			if err != nil {
				return nil, err
			}
			t = append(t, b...)
		}
		if len(t) > 0 && checksum(t) != a.checksum {
			return nil, errTorn
		}
		if i > 0 && !bytes.Equal(t, text) {
			return nil, fmt.Errorf("metadata areas differ: %w", errUnsure)
		}
		text = t
	}
	return text, nil
}

// openDirect opens a block device to be read as it is, not as it is cached: another name of the device may have its own cache.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECT, 0)
}

// numberOf returns a block device's number.
func numberOf(f *os.File) (deviceNumber, error) {
	info, err := f.Stat()
	if err != nil {
		return deviceNumber{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return deviceNumber{}, fmt.Errorf("not a block device: %w", errUnsure)
	}
	return deviceNumber{unix.Major(st.Rdev), unix.Minor(st.Rdev)}, nil
}

// readDirect reads a part of a device. O_DIRECT wants whole blocks in memory that is aligned; no disk's are larger.
func readDirect(f *os.File, part location) ([]byte, error) {
	const block = 4096
	from := part.Offset / block * block
	to := (part.Offset + part.Size + block - 1) / block * block
	memory := make([]byte, to-from+block)
	skip := -uintptr(unsafe.Pointer(&memory[0])) % block
	memory = memory[skip:][:to-from]
	n, err := f.ReadAt(memory, int64(from))
	if wanted := part.Offset + part.Size - from; uint64(n) < wanted {
		return nil, fmt.Errorf("reading %d bytes at %d: %w", part.Size, part.Offset, cmp.Or(err, errUnsure))
	}
	return memory[part.Offset-from:][:part.Size], nil
}
