package filesystem

import (
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Mount is a line of /proc/self/mountinfo (proc(5)).
type Mount struct {
	Target       string
	Source       string
	Type         string
	Root         string // what of the file system is mounted, "/" for all
	Major, Minor uint32 // the file system's device
	Options      []string
	SuperOptions []string
}

// ReadOnly says whether it was mounted read-only here, or its file system is so: also after errors.
func (m Mount) ReadOnly() bool {
	return slices.Contains(m.Options, "ro") || slices.Contains(m.SuperOptions, "ro")
}

// Lookup returns the topmost mount at exactly that path. The kernel lists mounts by their real paths, and the root may be
// a link: /var/lib/kubelet is one on nodes that keep it on a larger disk. Errors: ErrOutsideRoot.
func (m Mounter) Lookup(target string) (found Mount, mounted bool, err error) {
	rel, err := m.relative(target)
	if err != nil {
		return Mount{}, false, err
	}
	root, err := m.realRoot()
	if err != nil {
		return Mount{}, false, err
	}
	all, err := mounts()
	if err != nil {
		return Mount{}, false, err
	}
	real := filepath.Join(root, rel)
	for _, one := range slices.Backward(all) { // later lines are mounted over earlier ones
		if one.Target == real {
			one.Target = target
			return one, true, nil
		}
	}
	return Mount{}, false, nil
}

func (m Mounter) realRoot() (string, error) {
	root, err := filepath.EvalSymlinks(m.Root)
	if err != nil {
		return "", fmt.Errorf("root %s: %w", m.Root, err)
	}
	return root, nil
}

// MountsOf returns every mount of a block device's file system, and every bind mount of its device node.
func MountsOf(major, minor uint32) ([]Mount, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	number := unix.Mkdev(major, minor)
	return slices.DeleteFunc(all, func(m Mount) bool {
		return unix.Mkdev(m.Major, m.Minor) != number && m.node() != number
	}), nil
}

// MountsOf is MountsOf with targets beneath the root named as callers name them, also where the root is a link.
func (m Mounter) MountsOf(major, minor uint32) ([]Mount, error) {
	all, err := MountsOf(major, minor)
	if err != nil {
		return nil, err
	}
	root, err := m.realRoot()
	if err != nil {
		return nil, err
	}
	for i, one := range all {
		if rel, err := filepath.Rel(root, one.Target); err == nil && filepath.IsLocal(rel) {
			all[i].Target = filepath.Join(m.Root, rel)
		}
	}
	return all, nil
}

// node is the number of the block device whose node alone is mounted; 0 for any other mount. Only file systems that may
// have device nodes and always answer are asked.
func (m Mount) node() uint64 {
	if m.Root == "/" || m.Type != "devtmpfs" && m.Type != "tmpfs" {
		return 0
	}
	var st unix.Stat_t
	if err := unix.Lstat(m.Target, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0
	}
	return st.Rdev
}

// isFileSystem says whether a mount is of all of a device's file system.
func (m Mount) isFileSystem(number uint64, t Type) bool {
	return m.Root == "/" && m.Type == string(t) && unix.Mkdev(m.Major, m.Minor) == number
}

// isVolume says whether a mount may be one of ours: what neither Stage nor Bind makes is not ours to unmount.
func (m Mount) isVolume() bool {
	return m.Root == "/" && (m.Type == string(Ext4) || m.Type == string(XFS)) || m.node() != 0
}
