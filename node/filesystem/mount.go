package filesystem

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// StageRequest asks for a device's file system to be mounted.
type StageRequest struct {
	Device   string
	Target   string // must exist
	Type     Type
	Options  Options
	ReadOnly bool
	Thin     bool // unwritten blocks of the device read as zeroes
}

// Stage mounts a file system, never with set-user-ID programs or device nodes. Errors: ErrOutsideRoot, ErrSymlink, or
// the kernel's.
func (m Mounter) Stage(r StageRequest) error {
	target, err := m.open(r.Target)
	if err != nil {
		return err
	}
	defer target.close()
	if err := unix.Mount(r.Device, target.path(), string(r.Type), r.mountFlags(), r.mountData()); err != nil {
		return fmt.Errorf("mounting %s (%s) at %s: %w", r.Device, r.Type, r.Target, err)
	}
	return nil
}

// BindRequest asks for a staged file system, or a device node, to appear at another place.
type BindRequest struct {
	Source   string // a mount point that Stage made, or a device node
	Device   bool   // Source is a device node
	Target   string // made if only its parent exists
	ReadOnly bool
}

// Bind makes the source appear at the target, once, however often it is asked, and read-only if so asked. Errors:
// ErrOutsideRoot, ErrSymlink, ErrOtherMount.
func (m Mounter) Bind(r BindRequest) error {
	done, err := m.bound(r)
	if err != nil {
		return err
	}
	if !done {
		if err := m.bind(r); err != nil {
			return err
		}
	}
	if !r.ReadOnly {
		return nil
	}
	return m.makeReadOnly(r.Target)
}

// bound says whether the source is at the target already.
func (m Mounter) bound(r BindRequest) (bool, error) {
	at, mounted, err := m.Lookup(r.Target)
	if err != nil || !mounted {
		return false, err
	}
	var same bool
	if r.Device {
		var st unix.Stat_t
		if err := unix.Stat(r.Source, &st); err != nil {
			return false, fmt.Errorf("%s: %w", r.Source, err)
		}
		same = at.isNode(unix.Major(st.Rdev), unix.Minor(st.Rdev))
	} else {
		source, staged, err := m.Lookup(r.Source)
		if err != nil {
			return false, err
		}
		same = staged && source.Major == at.Major && source.Minor == at.Minor && source.Root == at.Root
	}
	if !same {
		return false, fmt.Errorf("%s: %w: %s of type %s", r.Target, ErrOtherMount, at.Source, at.Type)
	}
	return true, nil
}

func (m Mounter) bind(r BindRequest) error {
	source := r.Source
	if !r.Device {
		h, err := m.open(r.Source)
		if err != nil {
			return err
		}
		defer h.close()
		source = h.path()
	}
	target, err := m.ensure(r.Target, r.Device)
	if err != nil {
		return err
	}
	defer target.close()
	if err := unix.Mount(source, target.path(), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", r.Source, r.Target, err)
	}
	return nil
}

// makeReadOnly changes one bind mount alone. The kernel takes a remount's flags as all there are, so that those which the
// mount has are repeated.
func (m Mounter) makeReadOnly(target string) error {
	h, err := m.open(target)
	if err != nil {
		return err
	}
	defer h.close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(h), &st); err != nil {
		return fmt.Errorf("%s: %w", target, err)
	}
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC // statfs(2) has the same bits
	flags := uintptr(st.Flags)&kept | unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY
	if err := unix.Mount("", h.path(), "", flags, ""); err != nil {
		return fmt.Errorf("making %s read-only: %w", target, err)
	}
	return nil
}
