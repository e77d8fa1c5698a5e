package filesystem

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// Usage is how full something mounted is.
type Usage struct {
	Block                  bool // a device node: only Total is known
	Total, Available, Used lvm.Bytes
	Inodes, InodesFree     int64
}

// UsageOf asks the kernel about a mount point or a device node. Errors: fs.ErrNotExist.
func UsageOf(path string) (Usage, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Usage{}, err
	}
	if info.Mode()&os.ModeDevice != 0 {
		size, err := device.Size(path)
		return Usage{Block: true, Total: size}, err
	}
	return usageOfMounted(path)
}

// usageOfMounted is UsageOf a file system in one system call.
func usageOfMounted(path string) (Usage, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return Usage{}, fmt.Errorf("statfs %s: %w", path, err)
	}
	block := lvm.Bytes(s.Bsize)
	return Usage{
		Total: lvm.Bytes(s.Blocks) * block, Available: lvm.Bytes(s.Bavail) * block, Used: lvm.Bytes(s.Blocks-s.Bfree) * block,
		Inodes: int64(s.Files), InodesFree: int64(s.Ffree),
	}, nil
}
