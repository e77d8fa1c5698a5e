package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/loam-storage/loam/node/device"
	"github.com/loam-storage/loam/node/disk"
	"golang.org/x/sys/unix"
)

// openDevice never refuses to read a device; writing it takes that it is blank, free and named twice.
func openDevice(ctx context.Context, w Wanted) (*Place, error) {
	size, err := device.Size(w.Path)
	if err != nil {
		return nil, err
	}
	var held unix.Stat_t
	if err := unix.Stat(w.Path, &held); err != nil {
		return nil, fmt.Errorf("stat %s: %w", w.Path, err)
	}
	p := &Place{Name: w.Path, Path: w.Path, Size: size, Major: unix.Major(held.Rdev), Minor: unix.Minor(held.Rdev)}
	if w.Size > 0 {
		p.Size = min(size, w.Size)
	}
	var scanner disk.Scanner
	disks, err := scanner.Scan(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(disks, func(d disk.Inspected) bool {
		return d.Number == disk.Number{Major: p.Major, Minor: p.Minor}
	})
	if at < 0 {
		p.ReadOnly = "it is a logical volume, or no disk that Loam knows"
		return p, refusedSerial(p, w)
	}
	p.Device = described(disks[at].Disk)
	if verdict := disk.Assess(disk.Survey{Disks: disks})[at]; !verdict.Unnamed {
		p.ReadOnly = strings.Join(verdict.Reasons[1:], "; ") // the first one is that no pool names it, as there are none here
	} else {
		// A second look past everything that the first one remembers.
		if err := scanner.Recheck(ctx, disks[at].Disk); err != nil {
			p.ReadOnly = err.Error()
		}
	}
	if err := refusedSerial(p, w); err != nil {
		return nil, err
	}
	if p.ReadOnly == "" && w.Serial != name(disks[at].Disk) {
		if w.Serial != "" {
			return nil, unfit("--write=%s is not the serial number of %s, which is %s", w.Serial, w.Path, name(disks[at].Disk))
		}
		p.ReadOnly = fmt.Sprintf("it is blank; --write=%s would have it written", name(disks[at].Disk))
	}
	return p, nil
}

// refusedSerial is for who wants to write what may not be.
func refusedSerial(p *Place, w Wanted) error {
	if w.Serial == "" || p.ReadOnly == "" {
		return nil
	}
	return unfit("%s is not written: %s", w.Path, p.ReadOnly)
}

// name is what a person types to have a disk written.
func name(d disk.Disk) string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.Path
}

func described(d disk.Disk) string {
	medium := "solid state"
	if d.Rotational {
		medium = "rotational"
	}
	return strings.TrimSpace(fmt.Sprintf("%s (%s, %v)", d.Model, medium, d.Size))
}

// Described is what disks are, for people: as much as can be found out.
func Described(ctx context.Context, paths []string) string {
	var scanner disk.Scanner
	disks, err := scanner.Scan(ctx)
	if err != nil {
		return ""
	}
	var all []string
	for _, d := range disks {
		if slices.Contains(paths, d.Path) {
			all = append(all, described(d.Disk))
		}
	}
	return strings.Join(slices.Compact(all), ", ")
}

// deviceAt is the path of a block device; "" of one that the kernel does not show.
func deviceAt(major, minor uint32) string {
	folder := filepath.Join(devices, fmt.Sprintf("%d:%d", major, minor))
	if mapped, err := os.ReadFile(filepath.Join(folder, "dm", "name")); err == nil {
		return "/dev/mapper/" + strings.TrimSpace(string(mapped))
	}
	if target, err := os.Readlink(folder); err == nil {
		return "/dev/" + strings.ReplaceAll(filepath.Base(target), "!", "/")
	}
	return ""
}
