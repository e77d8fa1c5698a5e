package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// GrowRequest asks for a mounted file system to fill its device.
type GrowRequest struct {
	Device     string
	MountPoint string // any of it that may be written
	Type       Type
}

// Grow makes a mounted file system as large as its device, while it is in use, and leaves one alone that fills it. It asks
// the kernel as resize2fs and xfs_growfs do, so that it needs no process and no list of mounts in /etc. Errors:
// ErrOtherMount when the mount point is not the device's, ErrReadOnly, ErrBusy, ErrCorrupt, or the kernel's.
func Grow(ctx context.Context, r GrowRequest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	to, err := device.Size(r.Device)
	if err != nil {
		return err
	}
	at, err := r.open()
	if err != nil {
		return err
	}
	defer at.Close()
	if r.Type == XFS {
		err = growXFS(at, to)
	} else {
		err = growExt4(at, r.Device, to)
	}
	if err != nil {
		return fmt.Errorf("growing the %s at %s to %v: %w", r.Type, r.MountPoint, to, known(err))
	}
	return nil
}

// open opens the mount point, if it is one of the device.
func (r GrowRequest) open() (*os.File, error) {
	number, err := deviceNumber(r.Device)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(r.MountPoint, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && st.Dev != number {
		err = fmt.Errorf("%s: %w, not %s", r.MountPoint, ErrOtherMount, r.Device)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// growExt4 grows an ext4. Where it is mounted with noinit_itable, as on a thin volume, the kernel would first write zeroes
// to all new inode tables: 450 MiB when 1 GiB grows to 10, measured, which a pool may not have to give, and an ext4 that
// cannot write them is left with errors. With init_itable it leaves that to a thread, which begins seconds later, when
// noinit_itable has ended it again (fs/ext4/resize.c, setup_new_flex_group_blocks).
func growExt4(at *os.File, path string, to lvm.Bytes) error {
	s, err := readMountedExt4(path)
	if err != nil {
		return err
	}
	if s.kind != Ext4 {
		return ErrCorrupt
	}
	blocks := uint64(to / s.block)
	switch {
	case blocks <= uint64(s.size/s.block):
		return nil
	case s.faulty:
		return fmt.Errorf("%w: it has noted errors, and the kernel grows no such one", ErrCorrupt)
	}
	unwritten, err := hasOption(at, noTables)
	if err != nil {
		return err
	}
	if !unwritten {
		return control(at, ext4Resize, unsafe.Pointer(&blocks))
	}
	if err := reconfigure(at, tables); err != nil {
		return err
	}
	err = control(at, ext4Resize, unsafe.Pointer(&blocks))
	return errors.Join(err, reconfigure(at, noTables))
}

// Whether ext4 writes its inode tables in the background (ext4(5)).
const tables, noTables = "init_itable", "noinit_itable"

// hasOption says whether a file system is mounted with that option of its own.
func hasOption(at *os.File, option string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return false, err
	}
	all, err := MountsOf(unix.Major(st.Dev), unix.Minor(st.Dev))
	return slices.ContainsFunc(all, func(m Mount) bool { return slices.Contains(m.SuperOptions, option) }), err
}

// reconfigure sets one option of a mounted file system and leaves all others as they are, which mount(2) cannot do.
func reconfigure(at *os.File, option string) error {
	fd, err := unix.Fspick(int(at.Fd()), "", unix.FSPICK_CLOEXEC|unix.FSPICK_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("setting %s: fspick: %w", option, err)
	}
	defer unix.Close(fd)
	err = unix.FsconfigSetFlag(fd, option)
	if err == nil {
		err = unix.FsconfigReconfigure(fd)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", option, err)
	}
	return nil
}

// growXFS grows an xfs, by allocation groups of the size that mkfs chose for the first size of the volume: 300 MiB that
// grew to 1 TiB have 14,000 of them and take 8 s to mount, measured.
func growXFS(at *os.File, to lvm.Bytes) error {
	now, err := geometryOfXFS(at)
	if err != nil {
		return err
	}
	next := xfsGrowth{dataBlocks: uint64(to) / uint64(max(now.blockSize, 1)), inodePercent: now.inodePercent}
	if next.dataBlocks <= now.dataBlocks {
		return nil
	}
	return control(at, xfsGrowData, unsafe.Pointer(&next))
}
