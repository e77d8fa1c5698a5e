package filesystem

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// superblockEnd is where both superblocks have ended: that of ext4 is from 1 KiB to 2 KiB, that of xfs one sector.
const superblockEnd = 4096

// superblock is what Loam needs of a file system's first block.
type superblock struct {
	kind     Type   // "" when there is none that we know
	uuid     string // as text
	finished bool   // mkfs wrote all of it
	whole    bool   // its checksum holds, or it has none
	faulty   bool   // ext4 noted errors in itself, which only a checker may clear
	block    lvm.Bytes
	size     lvm.Bytes // 0 when it cannot be

	// Of xfs only:
	group       lvm.Bytes // by which its allocation groups are apart
	log, logEnd lvm.Bytes // where its log begins and has ended
}

// readSuperblock reads the superblock of a file system that is not mounted, past the page cache.
func readSuperblock(path string) (superblock, error) {
	d, err := device.Open(path)
	if err != nil {
		return superblock{}, err
	}
	defer d.Close()
	b, err := d.Read(0, superblockEnd)
	if err == nil && len(b) < superblockEnd {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return superblock{}, fmt.Errorf("reading the superblock of %s: %w", path, err)
	}
	return parseSuperblock(b), nil
}

// readMountedExt4 reads the superblock of a mounted ext4 in the page cache, which is where the kernel keeps it: the device
// may have an older one.
func readMountedExt4(path string) (superblock, error) {
	f, err := os.Open(path)
	if err != nil {
		return superblock{}, err
	}
	defer f.Close()
	b := make([]byte, superblockEnd)
	if _, err := f.ReadAt(b, 0); err != nil {
		return superblock{}, fmt.Errorf("reading the superblock of %s: %w", path, err)
	}
	return parseSuperblock(b), nil
}

// parseSuperblock parses the first 4 KiB of a device.
func parseSuperblock(b []byte) superblock {
	switch {
	case len(b) < superblockEnd:
		return superblock{}
	case binary.LittleEndian.Uint16(b[1024+0x38:]) == 0xef53:
		return parseExt4(b[1024:2048])
	case string(b[:4]) == "XFSB":
		return parseXFS(b)
	}
	return superblock{}
}

// parseExt4 parses ext4's superblock (kernel, Documentation/filesystems/ext4/super.rst), which mke2fs writes last, after
// a flush, and marked clean.
func parseExt4(b []byte) superblock {
	const (
		clean, errors = 1, 2  // s_state
		wide          = 0x80  // s_feature_incompat
		checksummed   = 0x400 // s_feature_ro_compat
	)
	le := binary.LittleEndian
	state, blocks := le.Uint16(b[0x3a:]), uint64(le.Uint32(b[0x4:]))
	if le.Uint32(b[0x60:])&wide != 0 {
		blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	s := superblock{
		kind: Ext4, uuid: formatUUID(b[0x68:0x78]), finished: state&clean != 0, whole: true, faulty: state&errors != 0,
		block: lvm.KiB << min(le.Uint32(b[0x18:]), 6),
	}
	s.size = product(blocks, s.block)
	if le.Uint32(b[0x64:])&checksummed != 0 {
		s.whole = ^crc32.Checksum(b[:0x3fc], crc32.MakeTable(crc32.Castagnoli)) == le.Uint32(b[0x3fc:])
	}
	return s
}

// parseXFS parses xfs's superblock (kernel, fs/xfs/libxfs/xfs_format.h, struct xfs_dsb), which mkfs.xfs writes first,
// marked as in progress, and again at the end without the mark.
func parseXFS(b []byte) superblock {
	const checksum = 224 // sb_crc, of version 5
	be := binary.BigEndian
	s := superblock{
		kind: XFS, uuid: formatUUID(b[32:48]), finished: b[126] == 0, whole: true,
		block: lvm.Bytes(be.Uint32(b[4:])),
	}
	s.size = product(be.Uint64(b[8:]), s.block)
	s.group = product(uint64(be.Uint32(b[84:])), s.block)
	start, shift := be.Uint64(b[48:]), b[124]&63 // a number of a group, and of a block in it
	s.log = product(start>>shift, s.group) + product(start&(1<<shift-1), s.block)
	s.logEnd = s.log + product(uint64(be.Uint32(b[96:])), s.block)
	sector := int(be.Uint16(b[102:]))
	if be.Uint16(b[100:])&0xf == 5 {
		table := crc32.MakeTable(crc32.Castagnoli)
		s.whole = sector >= 512 && sector <= len(b)
		if s.whole {
			sum := crc32.Update(crc32.Checksum(b[:checksum], table), table, make([]byte, 4)) // itself counts as zeroes
			s.whole = crc32.Update(sum, table, b[checksum+4:sector]) == binary.LittleEndian.Uint32(b[checksum:])
		}
	}
	return s
}

// product is a size, or 0 for one that no device has.
func product(blocks uint64, size lvm.Bytes) lvm.Bytes {
	if size <= 0 || blocks > uint64(1<<62/size) {
		return 0
	}
	return lvm.Bytes(blocks) * size
}

func formatUUID(u []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
