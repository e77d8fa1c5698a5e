package signature

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

// What is made here by hand needs a kernel, a module or a package to be made by its own tools.

var le, be = binary.LittleEndian, binary.BigEndian

// lvmLabel is the second sector of a physical volume: LVM2's label header and an empty PV header (lvm2,
// lib/format_text/layout.h), whose checksum is CRC-32 with LVM's initial value.
func lvmLabel() string {
	b := make([]byte, 512)
	copy(b, "LABELONE")
	le.PutUint64(b[8:], 1) // this sector
	le.PutUint32(b[20:], 32)
	copy(b[24:], "LVM2 001")
	copy(b[32:], "Yk1JfMGRQ3eVYxsbcq2kIMcC8x3Fi8yx")
	le.PutUint64(b[64:], 64<<20)
	le.PutUint32(b[16:], ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[20:]))
	return string(b)
}

// mdSuperblock is a version 1 superblock of md (include/uapi/linux/raid/md_p.h), which says where it is itself.
func mdSuperblock(at int64) string {
	b := make([]byte, 256)
	le.PutUint32(b, 0xa92b4efc)
	le.PutUint32(b[4:], 1)
	copy(b[16:], "0123456789abcdef")
	copy(b[32:], "host:0")
	le.PutUint64(b[144:], uint64(at/512))
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(le.Uint32(b[i:]))
	}
	le.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
	return string(b)
}

// mdOldSuperblock is the beginning of a version 0.90 superblock of md.
func mdOldSuperblock() string {
	b := make([]byte, 4096)
	for i, v := range []uint32{0xa92b4efc, 0, 90, 0, 0, 0x01234567} {
		le.PutUint32(b[4*i:], v)
	}
	for i, v := range []uint32{0x89abcdef, 0xdeadbeef, 0xfeedface} {
		le.PutUint32(b[4*(13+i):], v) // set_uuid1..3
	}
	return string(b)
}

// zfsUberblocks is the ring of uberblocks of one of a ZFS label's four copies (OpenZFS, include/sys/uberblock_impl.h).
func zfsUberblocks() string {
	b := make([]byte, 128<<10)
	for i := 0; i < len(b); i += 1024 {
		le.PutUint64(b[i:], 0x00bab10c)
		le.PutUint64(b[i+8:], 5000)
	}
	return string(b)
}

// drbdMetadata is DRBD 8's block of metadata at the end of its device (drbd-utils, drbdmeta).
func drbdMetadata() string {
	b := make([]byte, 4096)
	be.PutUint64(b, 1000)
	be.PutUint64(b[40:], 0xfeed) // device_uuid
	be.PutUint32(b[60:], 0x8374026b)
	be.PutUint32(b[76:], 4096) // bm_bytes_per_bit
	return string(b)
}

// mbr is a boot sector's partition table with one partition of 32 MiB.
func mbr() string {
	b := make([]byte, 512)
	b[446+4] = 0x83
	le.PutUint32(b[446+8:], 2048)
	le.PutUint32(b[446+12:], 65536)
	copy(b[510:], "\x55\xaa")
	return string(b)
}

// swapAndXFS gives an xfs file system a swap signature besides its own, which two formats may not share a device.
func swapAndXFS(t *testing.T, path string) {
	t.Helper()
	enlarge(t, path)
	run(t, "mkfs.xfs", "-q", path)
	header := make([]byte, 8)
	le.PutUint32(header, 1)
	le.PutUint32(header[4:], 1000)
	writeAt(t, path, string(header), 1024)
	writeAt(t, path, "SWAPSPACE2", 4096-10)
}
