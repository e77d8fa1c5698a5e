package lvm

import (
	"bytes"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

// areaAt is where LVM puts the first metadata area, and alignment what the area ends at.
const (
	areaAt    = 4 * KiB
	alignment = MiB
)

// firstText bounds the first text of a group's metadata; each physical volume takes some 200 bytes of it.
const firstText = 64 * KiB

// Unfinished says whether a device holds nothing but what CreateGroup or ExtendGroup with that MetadataSize leaves when its command
// is killed: a physical volume, or a part of one, on which no group's metadata ever took effect, so that no volume can be on it. A
// physical volume that was in a group, or has another metadata area, or a device with anything else at either end is not.
func Unfinished(device string, metadata Bytes) (bool, error) {
	fd, err := openDirect(device)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	size, err := unix.Seek(fd, 0, io.SeekEnd)
	area := areaOf(metadata)
	if err != nil || Bytes(size) < Bytes(area.Offset+area.Size)+MiB {
		return false, err
	}
	head, err := readDirect(fd, location{0, headSize})
	if err != nil || !unfinishedHead(head, area) {
		return false, err // of most devices no more is read
	}
	return unfinishedRest(fd, area, uint64(size))
}

// areaOf is the metadata area of that size as LVM makes it.
func areaOf(metadata Bytes) location {
	return location{uint64(areaAt), uint64((metadata + areaAt).RoundUp(alignment) - areaAt)}
}

// unfinishedHead looks at the label and the header of the area, and at what is around them.
func unfinishedHead(head []byte, area location) bool {
	l, found, err := parseLabel(head)
	if err != nil || found && (len(l.areas) != 1 || l.areas[0] != area) {
		return false
	}
	a, err := parseArea(head[areaAt:], area)
	if err != nil || a.text.Size > 0 || a.text.Offset > 0 {
		return false
	}
	for sector := range slices.Chunk(head[:areaAt], int(Sector)) {
		if string(sector[:8]) != labelMark && !isZero(sector) {
			return false
		}
	}
	return true
}

// unfinishedRest looks at the area, where one text may have been written and not come into effect, and at the device's end.
func unfinishedRest(fd int, area location, size uint64) (bool, error) {
	tail, err := readDirect(fd, location{size - uint64(MiB), uint64(MiB)})
	if err != nil || !isZero(tail) {
		return false, err
	}
	ring, err := readDirect(fd, location{area.Offset + areaHeader, area.Size - areaHeader})
	if err != nil {
		return false, err
	}
	text := ring[:firstText]
	return (isZero(text) || bytes.Count(text, []byte("seqno = ")) == 1) && isZero(ring[firstText:]), nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
