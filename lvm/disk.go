package lvm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
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
	fd, err := openDirect(path)
	if err != nil {
		return disk{}, err
	}
	defer unix.Close(fd)
	d := disk{}
	if d.number, err = numberOf(fd); err != nil {
		return disk{}, err
	}
	for range attempts {
		if err = d.readHeads(fd); err != nil {
			return disk{}, err
		}
		if bytes.Equal(d.heads, before.heads) && d.number == before.number {
			before.silent = false
			return before, nil
		}
		if err = d.readMetadata(fd); !errors.Is(err, errTorn) {
			return d, err
		}
	}
	return disk{}, err
}

// errTorn says that a text is not what its header says: both are read again, as it may have been written meanwhile.
var errTorn = errors.New("metadata and its checksum do not agree")

func (d *disk) readHeads(fd int) error {
	head, err := readDirect(fd, location{0, headSize})
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
		} else if header, err = readDirect(fd, location{at.Offset, areaHeader}); err != nil {
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
func (d *disk) readMetadata(fd int) (err error) {
	d.group, d.sum = VolumeGroup{}, 0
	d.text, err = d.readText(fd)
	if err != nil || len(d.text) == 0 {
		return err
	}
	d.sum = checksum(d.text)
	d.group, err = parseMetadata(d.text)
	return err
}

// readText sees to it that all areas of the device say the same, and returns nothing when they are empty.
func (d *disk) readText(fd int) (text []byte, err error) {
	for i, a := range d.areas {
		var t []byte
		for _, part := range a.parts() {
			b, err := readDirect(fd, part)
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
func openDirect(path string) (fd int, err error) {
	return open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_DIRECT)
}

// numberOf returns a block device's number.
func numberOf(fd int) (deviceNumber, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return deviceNumber{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return deviceNumber{}, fmt.Errorf("not a block device: %w", errUnsure)
	}
	return deviceNumber{unix.Major(st.Rdev), unix.Minor(st.Rdev)}, nil
}

// readDirect reads a part of a device. O_DIRECT wants whole blocks in memory that is aligned; no disk's are larger.
func readDirect(fd int, part location) ([]byte, error) {
	const block = 4096
	from := part.Offset / block * block
	to := (part.Offset + part.Size + block - 1) / block * block
	memory := make([]byte, to-from+block)
	skip := -uintptr(unsafe.Pointer(&memory[0])) % block
	memory = memory[skip:][:to-from]
	for done, wanted := 0, int(part.Offset+part.Size-from); done < wanted; {
		n, err := unix.Pread(fd, memory[done:], int64(from)+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return nil, fmt.Errorf("reading %d bytes at %d: %w", part.Size, part.Offset, cmp.Or(err, errUnsure))
		}
		done += n
	}
	return memory[part.Offset-from:][:part.Size], nil
}
