package filesystem

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// The ioctls of growing, as they are numbered on every architecture but MIPS, PowerPC and SPARC.
const (
	ext4Resize     = 1<<30 | 8<<16 | 'f'<<8 | 16                             // EXT4_IOC_RESIZE_FS (admin-guide/ext4.rst)
	xfsGetGeometry = 2<<30 | unsafe.Sizeof(xfsGeometry{})<<16 | 'X'<<8 | 100 // XFS_IOC_FSGEOMETRY_V1 (ioctl_xfs_fsgeometry(2))
	xfsGrowData    = 1<<30 | unsafe.Sizeof(xfsGrowth{})<<16 | 'X'<<8 | 110   // XFS_IOC_FSGROWFSDATA
)

// xfsGeometry is struct xfs_fsop_geom_v1 (fs/xfs/libxfs/xfs_fs.h), which the kernel keeps as it is.
type xfsGeometry struct {
	blockSize    uint32
	_            [6]uint32
	inodePercent uint32
	dataBlocks   uint64
	_            [9]uint64
}

// xfsGrowth is struct xfs_growfs_data.
type xfsGrowth struct {
	dataBlocks   uint64
	inodePercent uint32
	_            uint32
}

// geometryOfXFS asks a mounted xfs for its size: what its superblock on the device says may be older, as the device's page
// cache does not follow what xfs writes.
func geometryOfXFS(at *os.File) (xfsGeometry, error) {
	var g xfsGeometry
	if err := control(at, xfsGetGeometry, unsafe.Pointer(&g)); err != nil {
		return g, fmt.Errorf("size of the xfs: %w", err)
	}
	return g, nil
}

func (g xfsGeometry) size() lvm.Bytes { return product(g.dataBlocks, lvm.Bytes(g.blockSize)) }

func control(f *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument)); e != 0 {
		return e
	}
	return nil
}
