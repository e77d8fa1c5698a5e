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
	s, err := readSuperblock(r.Device)
	if err != nil {
		return err
	}
	device, err := deviceSize(r.Device)
	if err != nil {
		return err
	}
	const block = 4 * lvm.KiB // both round down to whole blocks
	if s.kind == r.Type && s.size+block > device {
		return nil
	}
	name, args := "resize2fs", []string{"--", r.Device}
	if r.Type == XFS {
		name, args = "xfs_growfs", []string{"-d", r.MountPoint}
	}
	if _, err := tool.Run(ctx, name, args...); err != nil {
		return fmt.Errorf("growing the file system at %s from %v to %v: %w", r.MountPoint, s.size, device, err)
	}
	return nil
}
