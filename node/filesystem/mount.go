package filesystem

import (
	"fmt"
	"slices"

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

// Stage mounts a file system, once, however often it is asked, and never with set-user-ID programs or device nodes. Errors:
// ErrOutsideRoot, ErrSymlink, ErrOtherMount, ErrBusy, ErrCorrupt, or the kernel's.
func (m Mounter) Stage(r StageRequest) error {
	target, err := m.open(r.Target)
	if err != nil {
		return err
	}
	defer target.close()
	number, err := deviceNumber(r.Device)
	if err != nil {
		return err
	}
	at, mounted, err := m.Lookup(r.Target)
	switch {
	case err != nil:
		return err
	case mounted && at.isFileSystem(number, r.Type):
		return nil
	case mounted:
		return otherMount(r.Target, at)
	}
	if err := unix.Mount(r.Device, target.path(), string(r.Type), r.mountFlags(), r.mountData()); err != nil {
		return fmt.Errorf("mounting %s (%s) at %s: %w", r.Device, r.Type, r.Target, known(err))
	}
	return nil
}

func otherMount(target string, m Mount) error {
	return fmt.Errorf("%s: %w: %s of type %s", target, ErrOtherMount, m.Source, m.Type)
}

// BindRequest asks for a staged file system, or a device node, to appear at another place.
type BindRequest struct {
	Source string // a mount point that Stage made, or a device node
	Device bool   // Source is a device node
	Target string // made if only its parent exists

	// ReadOnly makes the files of a file system impossible to change there. It does not stop writes to a device whose node
	// is bound: the kernel asks whether the node is on a read-only mount only for files. Who makes the node in a container
	// says so (cgroups' device controller).
	ReadOnly bool
}

// Bind makes the source appear at the target, once, however often it is asked, and read-only if so asked. Errors:
// ErrOutsideRoot, ErrSymlink, ErrOtherMount, ErrNotMounted, ErrReadOnly when it is there already, but cannot be written.
func (m Mounter) Bind(r BindRequest) error {
	at, mounted, err := m.Lookup(r.Target)
	if err != nil {
		return err
	}
	from, err := m.source(r)
	if err != nil {
		return err
	}
	defer from.close()
	switch {
	case mounted && !from.isAt(at):
		return otherMount(r.Target, at)
	case mounted && !r.ReadOnly && slices.Contains(at.Options, "ro") && !slices.Contains(from.mounted.Options, "ro"):
		return fmt.Errorf("%s: bound already, and %w", r.Target, ErrReadOnly)
	case !mounted:
		if err := m.bind(from, r); err != nil {
			return err
		}
	}
	if !r.ReadOnly {
		return nil
	}
	return m.makeReadOnly(r.Target)
}

// source is what is to be bound.
type source struct {
	handle
	mounted Mount  // for a file system
	number  uint64 // for a device node
}

func (m Mounter) source(r BindRequest) (source, error) {
	if r.Device {
		return openNode(r.Source)
	}
	h, err := m.open(r.Source)
	if err != nil {
		return source{}, err
	}
	at, mounted, err := m.Lookup(r.Source)
	if err == nil && !mounted {
		err = fmt.Errorf("%s: %w", r.Source, ErrNotMounted)
	}
	if err != nil {
		h.close()
		return source{}, err
	}
	return source{handle: h, mounted: at}, nil
}

// openNode opens a device node, through the links by which LVM names it.
func openNode(path string) (source, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return source{}, fmt.Errorf("%s: %w", path, err)
	}
	s := source{handle: handle(fd)}
	if s.number, err = deviceNumber(s.path()); err != nil {
		s.close()
		return source{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// isAt says whether a mount shows what the source shows.
func (s source) isAt(m Mount) bool {
	if s.number != 0 {
		return m.node() == s.number
	}
	return m.Major == s.mounted.Major && m.Minor == s.mounted.Minor && m.Root == s.mounted.Root
}

func (m Mounter) bind(from source, r BindRequest) error {
	target, err := m.ensure(r.Target, r.Device)
	if err != nil {
		return err
	}
	defer target.close()
	if err := unix.Mount(from.path(), target.path(), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", r.Source, r.Target, known(err))
	}
	return nil
}

// makeReadOnly changes one bind mount alone. The kernel takes a remount's flags as all there are, so that those which the
// mount has are repeated; it keeps the times of access as they were (mount(2)). A crash before it leaves a mount that the
// next Bind makes read-only.
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
