package filesystem

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
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

// mountInfo is where the kernel lists the mounts of this process's namespace.
const mountInfo = "/proc/self/mountinfo"

func mounts() ([]Mount, error) {
	lines, err := mount.ParseMountInfo(mountInfo)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", mountInfo, err)
	}
	all := make([]Mount, 0, len(lines))
	for _, l := range lines {
		all = append(all, Mount{
			Target: l.MountPoint, Source: l.Source, Type: l.FsType, Root: l.Root,
			Major: uint32(l.Major), Minor: uint32(l.Minor), Options: l.MountOptions, SuperOptions: l.SuperOptions,
		})
	}
	return all, nil
}

// Lookup returns the topmost mount at exactly that path.
func (m Mounter) Lookup(target string) (found Mount, mounted bool, err error) {
	if _, err := m.relative(target); err != nil {
		return Mount{}, false, err
	}
	all, err := mounts()
	if err != nil {
		return Mount{}, false, err
	}
	for _, one := range slices.Backward(all) { // later lines are mounted over earlier ones
		if one.Target == target {
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
	err := unix.Lstat(strings.TrimSuffix(m.Target, "\\040(deleted)"), &st)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && unix.Major(st.Rdev) == major && unix.Minor(st.Rdev) == minor
}
