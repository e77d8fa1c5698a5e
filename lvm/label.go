package lvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// label is what a device's first sectors say of the physical volume on it (lvm2: lib/label/label.h and
// lib/format_text/layout.h; all numbers are little endian).
type label struct {
	uuid   string
	device Bytes      // size of the device when it became a physical volume
	areas  []location // of metadata
	used   bool       // it belongs to a volume group, also if it holds no metadata of it
}

// location is a part of a device, or the end of a list when it begins nowhere.
type location struct{ Offset, Size uint64 }

const (
	labelMark    = "LABELONE"
	labelType    = "LVM2 001"
	labelSectors = 4   // how many sectors LVM searches
	labelUsed    = 1   // PV_EXT_USED
	maxAreas     = 8   // LVM makes two at most
	areaHeader   = 512 // MDA_HEADER_SIZE
)

// errDamaged says that what is on a device is not what LVM writes. Then LVM is asked, which knows what to make of it.
var errDamaged = errors.New("damaged, or newer than what is known here")

// parseLabel finds the label in a device's first sectors. found is false when there is none, as on a device that is no
// physical volume.
func parseLabel(head []byte) (l label, found bool, err error) {
	for i := 0; i < labelSectors && len(head) >= int(Sector); i, head = i+1, head[Sector:] {
		if string(head[:8]) == labelMark {
			l, err = readLabel(head[:Sector], uint64(i))
			return l, true, err
		}
	}
	return label{}, false, nil
}

// readLabel reads a label's own sector: mark, number of the sector, checksum of what follows it, offset of the contents,
// type; the contents are the physical volume's header.
func readLabel(sector []byte, number uint64) (label, error) {
	order := binary.LittleEndian
	contents := order.Uint32(sector[20:])
	if order.Uint64(sector[8:]) != number || order.Uint32(sector[16:]) != checksum(sector[20:]) || string(sector[24:32]) != labelType ||
		contents < 32 || contents > uint32(len(sector))-40 {
		return label{}, fmt.Errorf("label of a physical volume: %w", errDamaged)
	}
	header := sector[contents:]
	l := label{uuid: dashed(string(header[:32])), device: Bytes(order.Uint64(header[32:]))}
	_, rest, ok := locations(header[40:]) // of data
	if ok {
		l.areas, rest, ok = locations(rest)
	}
	if !ok || l.uuid == "" || l.device < 0 {
		return label{}, fmt.Errorf("header of a physical volume: %w", errDamaged)
	}
	if len(rest) >= 8 && order.Uint32(rest) > 0 { // there is an extension
		l.used = order.Uint32(rest[4:])&labelUsed != 0
	}
	return l, nil
}

// locations reads a list that ends with an empty entry.
func locations(b []byte) (list []location, rest []byte, ok bool) {
	for len(b) >= 16 && len(list) <= maxAreas {
		l := location{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		b = b[16:]
		if l.Offset == 0 {
			return list, b, true
		}
		list = append(list, l)
	}
	return nil, nil, false
}

// area is the header of a metadata area.
type area struct {
	location          // of the area, its header included
	text     location // of the metadata, from the area's beginning; no size: none was ever written
	checksum uint32   // of the text
}

const (
	areaMark    = " LVM2 x[5A%r0N*>"
	areaVersion = 1
	areaIgnored = 1 // RAW_LOCN_IGNORED: LVM was told to keep metadata elsewhere
)

// parseArea reads the header of the metadata area that a label names: checksum of what follows, mark, version, own
// location, and where the text of the metadata is, which is a ring behind the header.
func parseArea(header []byte, at location) (area, error) {
	order := binary.LittleEndian
	if len(header) < areaHeader || order.Uint32(header) != checksum(header[4:areaHeader]) || string(header[4:20]) != areaMark || order.Uint32(header[20:]) != areaVersion {
		return area{}, fmt.Errorf("header of a metadata area: %w", errDamaged)
	}
	a := area{
		location: location{order.Uint64(header[24:]), order.Uint64(header[32:])},
		text:     location{order.Uint64(header[40:]), order.Uint64(header[48:])}, checksum: order.Uint32(header[56:]),
	}
	if a.location != at || a.Size <= 2*areaHeader || a.Size > maxMetadata || order.Uint32(header[60:])&areaIgnored != 0 {
		return area{}, fmt.Errorf("metadata area: %w", errDamaged)
	}
	if a.text.Offset == 0 {
		return area{location: a.location}, nil
	}
	if a.text.Offset < areaHeader || a.text.Offset >= a.Size || a.text.Size == 0 || a.text.Size > a.Size-areaHeader {
		return area{}, fmt.Errorf("metadata area: %w", errDamaged)
	}
	return a, nil
}

// maxMetadata bounds what is read into memory. LVM's default is an area of 1 MiB, Loam's of 32.
const maxMetadata = 1 << 30

// free is by how much the text may still grow: two copies must fit, each of which begins at a sector (vg_mda_free).
func (a area) free() Bytes {
	most := Bytes(a.Size-areaHeader)/2 - Sector
	return max(0, most-Bytes(a.text.Size)).RoundDown(Sector)
}

// parts are where the text is on the device: it may go on at the beginning of the ring.
func (a area) parts() []location {
	if a.text.Size == 0 {
		return nil
	}
	first := min(a.text.Size, a.Size-a.text.Offset)
	parts := []location{{a.Offset + a.text.Offset, first}}
	if rest := a.text.Size - first; rest > 0 {
		parts = append(parts, location{a.Offset + areaHeader, rest})
	}
	return parts
}

// checksum is LVM's: the common CRC-32 from a first value of its own, and not inverted at the end (lvm2: lib/misc/crc.c).
func checksum(b []byte) uint32 {
	const first = 0xf597a6cf
	return ^crc32.Update(^uint32(first), crc32.IEEETable, b)
}

// dashed writes a UUID of 32 characters as LVM does: 6-4-4-4-4-4-6. Anything else becomes "".
func dashed(uuid string) string {
	if len(uuid) != 32 || strings.ContainsFunc(uuid, func(r rune) bool { return !letterOrDigit(r) && r != '!' && r != '#' }) {
		return ""
	}
	return strings.Join([]string{uuid[:6], uuid[6:10], uuid[10:14], uuid[14:18], uuid[18:22], uuid[22:26], uuid[26:]}, "-")
}

// undashed is the inverse of dashed.
func undashed(uuid string) string { return strings.ReplaceAll(uuid, "-", "") }
