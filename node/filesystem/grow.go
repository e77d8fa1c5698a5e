package filesystem

import (
	"context"
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/tool"
)

// GrowRequest asks for a mounted file system to fill its device.
type GrowRequest struct {
	Device     string
	MountPoint string
	Type       Type
}

// Grow makes a mounted file system as large as its device, while it is in use; one that fills it costs no process.
func Grow(ctx context.Context, r GrowRequest) error {
	device, err := deviceSize(r.Device)
	if err != nil {
		return err
	}
	size, err := r.size()
	if err != nil {
		return err
	}
	const block = 4 * lvm.KiB // both round down to whole blocks
	if size+block > device {
		return nil
	}
	name, args := "resize2fs", []string{"--", r.Device}
	if r.Type == XFS {
		name, args = "xfs_growfs", []string{"-d", r.MountPoint}
	}
	if _, err := tool.Run(ctx, name, args...); err != nil {
		return fmt.Errorf("growing the file system at %s from %v to %v: %w", r.MountPoint, size, device, err)
	}
	return nil
}

func (r GrowRequest) size() (lvm.Bytes, error) {
	if r.Type == XFS {
		return sizeOfXFS(r.MountPoint)
	}
	return sizeOfExt4(r.Device)
}
