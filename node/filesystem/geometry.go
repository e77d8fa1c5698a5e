package filesystem

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// xfsGeometryV1 is struct xfs_fsop_geom_v1 (fs/xfs/libxfs/xfs_fs.h), which the kernel keeps as it is.
type xfsGeometryV1 struct {
	blockSize  uint32
	_          [7]uint32
	dataBlocks uint64
	_          [9]uint64
}

// xfsGetGeometryV1 is XFS_IOC_FSGEOMETRY_V1: _IOR('X', 100, struct xfs_fsop_geom_v1).
const xfsGetGeometryV1 = 2<<30 | unsafe.Sizeof(xfsGeometryV1{})<<16 | 'X'<<8 | 100

// sizeOfXFS asks a mounted xfs for its size: what its superblock on the device says may be older, as the device's page
// cache does not follow what xfs writes.
func sizeOfXFS(mountPoint string) (lvm.Bytes, error) {
	f, err := os.Open(mountPoint)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var g xfsGeometryV1
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), xfsGetGeometryV1, uintptr(unsafe.Pointer(&g))); e != 0 {
		return 0, fmt.Errorf("size of the xfs at %s: %w", mountPoint, e)
	}
	return product(g.dataBlocks, uint64(g.blockSize)), nil
}

// sizeOfExt4 reads the superblock of an ext4, which when mounted keeps it in the device's page cache; 0 for none.
func sizeOfExt4(device string) (lvm.Bytes, error) {
	s, err := readSuperblock(device)
	if err != nil || s.kind != Ext4 {
		return 0, err
	}
	return s.size, nil
}
