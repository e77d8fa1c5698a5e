package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is where the kernel describes its devices. The zero value is this machine.
type Source struct {
	Sys, Dev, Proc string // "" for /sys, /dev, /proc
}

func (s Source) sys() string  { return cmp.Or(s.Sys, "/sys") }
func (s Source) dev() string  { return cmp.Or(s.Dev, "/dev") }
func (s Source) proc() string { return cmp.Or(s.Proc, "/proc") }

// Discover lists the block devices that could ever be of use, in order of their paths. Not among them: devices without
// a medium or backing file, RAM disks, floppies, CD-ROMs and the logical volumes themselves. It opens no device.
func Discover(ctx context.Context, s Source) ([]Disk, error) {
	devices, err := s.settled(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing block devices: %w", err)
	}
	links, err := s.links(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing links to block devices: %w", err)
	}
	uses, err := s.uses()
	if err != nil {
		return nil, fmt.Errorf("listing mounts and swap: %w", err)
	}
	paths := map[string]string{} // by the kernel's name
	for name, d := range devices {
		paths[name] = d.path(s.dev())
	}
	var disks []Disk
	for name, d := range devices {
		if d.useless() {
			continue
		}
		disk := d.disk(devices, paths)
		node := filepath.Join(s.dev(), nodeName(name))
		disk.Links = without(append(links[node], node), disk.Path)
		disk.Mounts, disk.Swap = uses.of(disk)
		disks = append(disks, disk)
	}
	slices.SortFunc(disks, func(a, b Disk) int { return strings.Compare(a.Path, b.Path) })
	return disks, nil
}

// nodeName is the name below /dev of a device that sysfs calls name; sysfs cannot have a slash in it.
func nodeName(name string) string { return strings.ReplaceAll(name, "!", "/") }

// linkFolders are where udev, mdadm and device-mapper keep other names of devices.
var linkFolders = []string{".", "disk/*", "mapper", "md"}

// links maps each device node below Dev to all links to it. A link to nowhere is none.
func (s Source) links(ctx context.Context) (map[string][]string, error) {
	found := map[string][]string{}
	for _, pattern := range linkFolders {
		folders, err := filepath.Glob(filepath.Join(s.dev(), pattern))
		if err != nil {
			return nil, err
		}
		for _, folder := range folders {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := linksIn(folder, found); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func linksIn(folder string, found map[string][]string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since it was listed
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type() != os.ModeSymlink {
			continue
		}
		link := filepath.Join(folder, e.Name())
		if target, err := filepath.EvalSymlinks(link); err == nil {
			found[target] = append(found[target], link)
		}
	}
	return nil
}

// without sorts the names, less that one.
func without(names []string, name string) []string {
	names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return names
}
