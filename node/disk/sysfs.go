package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/loam-storage/loam/lvm"
)

// Major numbers that the kernel's Documentation/admin-guide/devices.txt gives away for good.
const (
	majorRAM    = 1
	majorFloppy = 2
	majorLoop   = 7
	majorCDROM  = 11
)

// device is a block device with its attributes from sysfs (Documentation/ABI/stable/sysfs-block).
type device struct {
	name    string
	kind    Kind
	number  Number
	size    lvm.Bytes
	hidden  bool     // has no node: a path of an NVMe multipath disk
	parent  string   // the kernel's name of the disk that a partition is on
	holders []string // the kernel's names
	mapName string   // device-mapper's name

	rotational, readOnly, removable bool
	model, serial, wwn              string
	sequence, writes                uint64
}

// settleTries and settlePause bound how often and how far apart all is read until it fits together.
const (
	settleTries = 10
	settlePause = 10 * time.Millisecond
)

// settled is devices as they were at one moment, as nearly as can be had. sysfs is not read at once: what is made or removed
// meanwhile would be a stranger that holds a disk, and a pool's disk so held would not be the pool's.
func (s Source) settled(ctx context.Context) (map[string]device, error) {
	for try := 1; ; try++ {
		all, err := s.devices(ctx)
		if err != nil || fit(all) || try == settleTries {
			return all, err
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fit says that every holder is among the devices, and that device-mapper's have told what they are, which they do not yet
// when they begin to hold and no more when they go.
func fit(all map[string]device) bool {
	for name, d := range all {
		if strings.HasPrefix(name, "dm-") && d.mapName == "" {
			return false
		}
		for _, holder := range d.holders {
			if _, ok := all[holder]; !ok {
				return false
			}
		}
	}
	return true
}

// devices reads all of /sys/class/block, by the kernel's names. A device that goes away meanwhile is left out.
func (s Source) devices(ctx context.Context) (map[string]device, error) {
	folder := filepath.Join(s.sys(), "class/block")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	all := map[string]device{}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, err := readDevice(filepath.Join(folder, e.Name()), e.Name())
		if err != nil {
			if _, gone := os.Stat(filepath.Join(folder, e.Name())); errors.Is(gone, fs.ErrNotExist) {
				continue
			}
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all[e.Name()] = d
	}
	return all, nil
}

// readDevice follows the link of /sys/class/block, which leads into the folder of the disk for a partition.
func readDevice(link, name string) (device, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return device{}, err
	}
	dir := filepath.Join(filepath.Dir(link), target)
	a := &attributes{dir: dir}
	d := device{name: name, kind: Whole}
	if d.mapped(a); d.kind == LV {
		return d, a.err // there are many, and nobody asks for more
	}
	if d.hidden = a.optional("hidden") == "1"; d.hidden {
		return d, a.err // it has no number either
	}
	if d.size = lvm.Bytes(a.number("size")) * lvm.Sector; d.size == 0 {
		return d, a.err
	}
	d.readOnly, d.holders, d.writes = a.number("ro") != 0, a.list("holders"), a.field("stat", 4)
	if n, err := fmt.Sscanf(a.required("dev"), "%d:%d", &d.number.Major, &d.number.Minor); err != nil || n != 2 {
		a.fail(fmt.Errorf("dev: not a device number"))
	}
	whole := a
	if a.exists("partition") {
		d.kind, d.parent = Partition, filepath.Base(filepath.Dir(dir))
		whole = &attributes{dir: filepath.Dir(dir)}
	}
	whole.disk(&d)
	a.fail(whole.err)
	return d, a.err
}

// disk reads what a whole disk has, and a partition has from its disk.
func (a *attributes) disk(d *device) {
	d.rotational = a.optional("queue/rotational") == "1"
	d.removable = a.optional("removable") == "1"
	d.sequence, _ = strconv.ParseUint(a.optional("diskseq"), 10, 64)
	if d.kind == Partition {
		return
	}
	d.model = a.optional("device/model")
	d.serial = a.first("serial", "device/serial")
	if d.serial == "" {
		d.serial = pageText(a.optional("device/vpd_pg80"))
	}
	d.wwn = a.first("wwid", "device/wwid")
	switch {
	case d.number.Major == majorLoop:
		d.kind = Loop
	case a.exists("md"):
		d.kind = MD
	}
}

// pageText is the text of SCSI's vital product data page: 4 bytes of header, then the serial number (SPC-4, 7.8.15).
func pageText(page string) string {
	if len(page) < 4 {
		return ""
	}
	return strings.TrimSpace(strings.Trim(page[4:], "\x00"))
}

// mapped tells device-mapper's devices apart by the prefix that their makers give the UUID.
func (d *device) mapped(a *attributes) {
	if !a.exists("dm") {
		return
	}
	d.mapName = a.optional("dm/name") // none to be read as it goes away
	uuid := a.optional("dm/uuid")
	prefix, _, _ := strings.Cut(uuid, "-")
	switch {
	case prefix == "LVM":
		d.kind = LV
	case prefix == "mpath":
		d.kind = Multipath
	case prefix == "CRYPT":
		d.kind = Crypt
	case strings.HasPrefix(prefix, "part"): // kpartx(8): part1-mpath-…
		d.kind = Partition
	default:
		d.kind = Mapped
	}
}

// path is the node that LVM and people prefer; /dev/mapper may lack it where udev does not run.
func (d device) path(dev string) string {
	if d.mapName != "" {
		named := filepath.Join(dev, "mapper", d.mapName)
		if _, err := os.Stat(named); err == nil {
			return named
		}
	}
	return filepath.Join(dev, nodeName(d.name))
}

// useless says that no pool could ever take it, and nobody would ask why.
func (d device) useless() bool {
	switch d.number.Major {
	case majorRAM, majorFloppy, majorCDROM:
		return true
	}
	return d.size == 0 || d.hidden || d.kind == LV || strings.HasPrefix(d.name, "zram")
}

// disk is the device with its relations to the others.
func (d device) disk(all map[string]device, paths map[string]string) Disk {
	disk := Disk{
		Path: paths[d.name], Number: d.number, Sequence: d.sequence, Kind: d.kind, Size: d.size,
		Rotational: d.rotational, ReadOnly: d.readOnly, Removable: d.removable,
		Model: d.model, Serial: d.serial, WWN: d.wwn, Parent: paths[d.parent], writes: d.writes,
	}
	for _, name := range d.holders {
		h := Holder{Name: name, Kind: Mapped}
		if other, ok := all[name]; ok {
			h.Kind = other.kind
			if other.mapName != "" {
				h.Name = other.mapName
			}
		}
		disk.Holders = append(disk.Holders, h)
	}
	for name, other := range all {
		if other.parent == d.name {
			disk.Partitions = append(disk.Partitions, paths[name])
		}
	}
	slices.Sort(disk.Partitions)
	return disk
}

// attributes reads the files of one folder of sysfs and keeps the first error.
type attributes struct {
	dir string
	err error
}

func (a *attributes) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *attributes) required(name string) string {
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		a.fail(err)
	}
	return strings.TrimSpace(string(data))
}

// optional is "" for what this kind of device does not have, or does not tell.
func (a *attributes) optional(name string) string {
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !hardware(err) {
		a.fail(err)
	}
	return strings.TrimSpace(string(data))
}

// hardware says that the device, asked for an attribute, would not answer; what it is can be told without.
func hardware(err error) bool {
	for _, e := range []error{syscall.EIO, syscall.EINVAL, syscall.ENODEV, syscall.ENXIO, syscall.ENODATA, syscall.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// first is the first that tells something; User Mode Linux prints a missing serial number as "(null)".
func (a *attributes) first(names ...string) string {
	for _, name := range names {
		if v := a.optional(name); v != "" && v != "(null)" {
			return v
		}
	}
	return ""
}

func (a *attributes) number(name string) uint64 {
	n, err := strconv.ParseUint(a.required(name), 10, 62)
	if err != nil {
		a.fail(fmt.Errorf("%s: %w", name, err))
	}
	return n
}

// field is the i-th number of a line; 0 when there is none.
func (a *attributes) field(name string, i int) uint64 {
	fields := strings.Fields(a.optional(name))
	if i >= len(fields) {
		return 0
	}
	n, _ := strconv.ParseUint(fields[i], 10, 64) // what is not a number tells nothing
	return n
}

func (a *attributes) exists(name string) bool {
	_, err := os.Stat(filepath.Join(a.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.fail(err)
	}
	return err == nil
}

// list is the names in a folder.
func (a *attributes) list(name string) []string {
	entries, err := os.ReadDir(filepath.Join(a.dir, name))
	if err != nil {
		a.fail(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
