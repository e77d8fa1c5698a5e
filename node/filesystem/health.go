package filesystem

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// Failed says whether a mounted file system of ours has found errors, since when ext4 takes no writes and xfs does not
// answer. Only from Linux 6.15 on is that to be seen in a mount's options; before, ext4 showed "ro" until 2024. ext4 counts
// its errors until a checker has repaired them, also when it is mounted again.
func (m Mount) Failed() (bool, error) {
	stopped := slices.ContainsFunc(m.SuperOptions, func(o string) bool {
		return o == "ro" || o == "emergency_ro" || o == "shutdown"
	})
	if stopped && !slices.Contains(m.Options, "ro") {
		return true, nil
	}
	switch Type(m.Type) {
	case Ext4:
		return m.hasErrors()
	case XFS:
		var st unix.Stat_t
		err := unix.Stat(m.Target, &st)
		if errors.Is(err, unix.EIO) {
			return true, nil
		}
		return false, err
	}
	return false, nil
}

// Failing are those of the devices on which a mounted file system has failed; see Mount.Failed. One that does not tell counts
// as well: its device or mount may just be going away.
func Failing(devices []lvm.Device) ([]lvm.Device, error) {
	all, err := mounts()
	if err != nil {
		return nil, err
	}
	mounted := map[uint64]Mount{}
	for _, m := range all {
		mounted[unix.Mkdev(m.Major, m.Minor)] = m
	}
	return slices.DeleteFunc(slices.Clone(devices), func(d lvm.Device) bool {
		m, ok := mounted[unix.Mkdev(d.Major, d.Minor)]
		if !ok {
			return true
		}
		failed, err := m.Failed()
		return err != nil || !failed
	}), nil
}

// hasErrors reads ext4's count of errors (kernel, Documentation/ABI/testing/sysfs-fs-ext4), which is by the device's name.
func (m Mount) hasErrors() (bool, error) {
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", m.Major, m.Minor))
	if err != nil {
		return false, err
	}
	count, err := os.ReadFile(filepath.Join("/sys/fs/ext4", filepath.Base(device), "errors_count"))
	return err == nil && strings.TrimSpace(string(count)) != "0", err
}
