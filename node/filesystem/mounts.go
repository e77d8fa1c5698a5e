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
	root, err := filepath.EvalSymlinks(m.Root)
	if err != nil {
		return Mount{}, false, fmt.Errorf("root %s: %w", m.Root, err)
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

// MountsOf returns every mount of a block device's file system, and every bind mount of its device node.
func MountsOf(major, minor uint32) ([]Mount, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Mount) bool {
		return (m.Major != major || m.Minor != minor) && !m.isNode(major, minor)
	}), nil
}

// isNode says whether a mount is of a single device node, and of that device's.
func (m Mount) isNode(major, minor uint32) bool {
	if m.Root == "/" || m.Type != "devtmpfs" && m.Type != "tmpfs" {
		return false
	}
	var st unix.Stat_t
	err := unix.Lstat(m.Target, &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && unix.Major(st.Rdev) == major && unix.Minor(st.Rdev) == minor
}
