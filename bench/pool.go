package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// thinPool is one that a place's blocks come from.
type thinPool struct{ group, name string }

// devices is where the kernel shows block devices by their numbers (Documentation/ABI/testing/sysfs-dev).
const devices = "/sys/dev/block"

// spares says why, for people, a file of that size is not to be written to the device: it would fill a thin pool beneath. The warning is for
// when nobody can say, as in a container.
func spares(p *Place) (warning string, err error) {
	if p.Major == 0 {
		return "", nil
	}
	pools, err := poolsBeneath(filepath.Join(devices, fmt.Sprintf("%d:%d", p.Major, p.Minor)))
	if err != nil {
		return "", fmt.Errorf("which thin pool is beneath %s: %w", p.Name, err)
	}
	kernel := lvm.New(lvm.Options{})
	for _, pool := range pools {
		usage, err := kernel.Usage(pool.group, pool.name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return fmt.Sprintf("whether thin pool %s/%s has room is not known here: %v", pool.group, pool.name, err), nil
		case err != nil:
			return "", fmt.Errorf("room in thin pool: %w", err)
		}
		if err := fits(pool, usage, p.Size); err != nil {
			return "", err
		}
	}
	return "", nil
}

// fits says why a file of that size would leave too little of a pool. Its metadata grow with its data, and LVM gives it enough for all of them.
func fits(pool thinPool, u lvm.Usage, size lvm.Bytes) error {
	if u.Health != lvm.Healthy || u.Size <= 0 || u.MetadataSize <= 0 {
		return unfit("thin pool %s/%s is not well: %s", pool.group, pool.name, u.Health)
	}
	part := float64(size) / float64(u.Size)
	data, metadata := float64(u.Data)/float64(u.Size), float64(u.Metadata)/float64(u.MetadataSize)
	if max(data, metadata)+part > 1-headroom {
		return unfit("thin pool %s/%s of %v has %.0f %% of its data and %.0f %% of its metadata in use: a file of %v would leave less than %.0f %%; a smaller --size may do",
			pool.group, pool.name, u.Size, 100*data, 100*metadata, size, 100*headroom)
	}
	return nil
}

// poolsBeneath follows a device's folder in sysfs down to thin pools.
func poolsBeneath(folder string) ([]thinPool, error) {
	name, err := os.ReadFile(filepath.Join(folder, "dm", "name"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if pool, ok := poolOf(strings.TrimSpace(string(name))); ok {
		return []thinPool{pool}, nil
	}
	below, err := os.ReadDir(filepath.Join(folder, "slaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // partitions have none
		return nil, err
	}
	var all []thinPool
	for _, b := range below {
		pools, err := poolsBeneath(filepath.Join(folder, "slaves", b.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, pools...)
	}
	return all, nil
}

// LVM names the device of a pool <group>-<pool>-tpool, with every dash within a name doubled.
var poolDevice = regexp.MustCompile(`^((?:[^-]|--)+)-((?:[^-]|--)+)-tpool$`)

func poolOf(device string) (thinPool, bool) {
	m := poolDevice.FindStringSubmatch(device)
	if m == nil {
		return thinPool{}, false
	}
	return thinPool{strings.ReplaceAll(m[1], "--", "-"), strings.ReplaceAll(m[2], "--", "-")}, true
}
