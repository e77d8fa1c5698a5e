package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounter mounts beneath one root, which is the kubelet's folder: everything above is trusted, nothing below is.
type Mounter struct{ Root string }

// relative is a target's path below the root.
func (m Mounter) relative(target string) (string, error) {
	if !filepath.IsAbs(target) || filepath.Clean(target) != target || strings.ContainsRune(target, 0) {
		return "", fmt.Errorf("%.200q: %w %s", target, ErrOutsideRoot, m.Root)
	}
	rel, err := filepath.Rel(m.Root, target)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("%.200q: %w %s", target, ErrOutsideRoot, m.Root)
	}
	return rel, nil
}

// open opens what is at a target, beneath the root and through no symbolic link. Errors: ErrOutsideRoot, ErrSymlink,
// fs.ErrNotExist.
func (m Mounter) open(target string) (handle, error) {
	rel, err := m.relative(target)
	if err != nil {
		return -1, err
	}
	return m.openBeneath(rel)
}

// openParent opens the folder that a target is in, which may be the root, and returns the target's name there.
func (m Mounter) openParent(target string) (parent handle, name string, err error) {
	rel, err := m.relative(target)
	if err != nil {
		return -1, "", err
	}
	parent, err = m.openBeneath(filepath.Dir(rel))
	return parent, filepath.Base(rel), err
}

// openBeneath opens a path below the root (openat2(2)).
func (m Mounter) openBeneath(rel string) (handle, error) {
	root, err := unix.Open(m.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening root %s: %w", m.Root, err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, rel, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, unix.ELOOP):
		return -1, fmt.Errorf("%s: %w", filepath.Join(m.Root, rel), ErrSymlink)
	case err != nil:
		return -1, fmt.Errorf("opening %s: %w", filepath.Join(m.Root, rel), err)
	}
	return handle(fd), nil
}

// handle is an open path, by which it is mounted upon: what it names cannot be exchanged for a link meanwhile.
type handle int

func (h handle) path() string { return fmt.Sprintf("/proc/self/fd/%d", int(h)) }

// child is what has that name in an open folder. Its last step is resolved anew, so that it is for calls that follow no link.
func (h handle) child(name string) string { return h.path() + "/" + name }

func (h handle) close() { _ = unix.Close(int(h)) } // an O_PATH descriptor has nothing to lose

// ensure opens a target, making it first, a folder or a file, when only its parent exists.
func (m Mounter) ensure(target string, file bool) (handle, error) {
	h, err := m.open(target)
	if !errors.Is(err, fs.ErrNotExist) {
		return h, err
	}
	parent, name, err := m.openParent(target)
	if err != nil {
		return -1, err
	}
	defer parent.close()
	if file {
		var fd int
		if fd, err = unix.Openat(int(parent), name, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_CLOEXEC, 0o600); err == nil {
			_ = unix.Close(fd)
		}
	} else {
		err = unix.Mkdirat(int(parent), name, 0o750)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return -1, fmt.Errorf("making %s: %w", target, err)
	}
	return m.open(target)
}

// deviceNumber is a block device's number.
func deviceNumber(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("%s: %w", path, unix.ENOTBLK)
	}
	return st.Rdev, nil
}
