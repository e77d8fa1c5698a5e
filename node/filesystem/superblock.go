package filesystem

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/loam-storage/loam/lvm"
)

// superblock is what Loam needs of a file system's first block.
type superblock struct {
	kind     Type // "" when there is none that we know
	uuid     string
	finished bool // mkfs wrote all of it
	size     lvm.Bytes
}

// readSuperblock reads the beginning of a device through the page cache, which for a mounted ext4 is where its superblock is.
func readSuperblock(device string) (superblock, error) {
	f, err := os.Open(device)
	if err != nil {
		return superblock{}, err
	}
	defer f.Close()
	b := make([]byte, 4096)
	if _, err := io.ReadFull(f, b); err != nil {
		return superblock{}, fmt.Errorf("reading the superblock of %s: %w", device, err)
	}
	return parseSuperblock(b), nil
}

// parseSuperblock parses the first 4 KiB of a device.
//
// ext4 (kernel, Documentation/filesystems/ext4/super.rst) is 1 KiB in, little-endian: mke2fs writes it last, and marks it
// clean only then. xfs (xfs_format.h, struct xfs_dsb) is at the beginning, big-endian: mkfs.xfs writes it first, marked
// as in progress, and clears the mark last.
func parseSuperblock(b []byte) superblock {
	if len(b) < 4096 {
		return superblock{}
	}
	le, be := binary.LittleEndian, binary.BigEndian
	if e := b[1024:]; le.Uint16(e[0x38:]) == 0xef53 {
		blocks := uint64(le.Uint32(e[0x4:]))
		if le.Uint32(e[0x60:])&0x80 != 0 { // INCOMPAT_64BIT
			blocks |= uint64(le.Uint32(e[0x150:])) << 32
		}
		return superblock{
			kind: Ext4, uuid: formatUUID(e[0x68:0x78]), finished: le.Uint16(e[0x3a:])&1 != 0,
			size: product(blocks, uint64(1024)<<min(le.Uint32(e[0x18:]), 16)),
		}
	}
	if string(b[:4]) == "XFSB" {
		return superblock{
			kind: XFS, uuid: formatUUID(b[32:48]), finished: b[126] == 0,
			size: product(be.Uint64(b[8:]), uint64(be.Uint32(b[4:]))),
		}
	}
	return superblock{}
}

// product is a size, or 0 for one that no device has.
func product(blocks, size uint64) lvm.Bytes {
	if size == 0 || blocks > (1<<62)/size {
		return 0
	}
	return lvm.Bytes(blocks * size)
}

func formatUUID(u []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
