package signature

import (
	"encoding/binary"
	"hash/crc32"
)

// lvmLabel is the second sector of a physical volume: LVM2's label header and an empty PV header (lvm2,
// lib/format_text/layout.h), whose checksum is CRC-32 with LVM's initial value.
func lvmLabel() string {
	b := make([]byte, 512)
	copy(b, "LABELONE")
	binary.LittleEndian.PutUint64(b[8:], 1) // this sector
	binary.LittleEndian.PutUint32(b[20:], 32)
	copy(b[24:], "LVM2 001")
	copy(b[32:], "Yk1JfMGRQ3eVYxsbcq2kIMcC8x3Fi8yx")
	binary.LittleEndian.PutUint64(b[64:], 64<<20)
	binary.LittleEndian.PutUint32(b[16:], ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b[20:]))
	return string(b)
}

// mdSuperblock is a version 1.2 superblock of md (include/uapi/linux/raid/md_p.h), 4 KiB into the device.
func mdSuperblock() string {
	b := make([]byte, 256)
	binary.LittleEndian.PutUint32(b, 0xa92b4efc)
	binary.LittleEndian.PutUint32(b[4:], 1)
	copy(b[16:], "0123456789abcdef")
	copy(b[32:], "host:0")
	binary.LittleEndian.PutUint64(b[144:], 8) // its own place, in sectors
	var sum uint64
	for i := 0; i < len(b); i += 4 {
		sum += uint64(binary.LittleEndian.Uint32(b[i:]))
	}
	binary.LittleEndian.PutUint32(b[216:], uint32(sum)+uint32(sum>>32))
	return string(b)
}
