package lvm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A report is read here, without a process, from the labels and metadata areas of the devices and from device-mapper. It
// is vouched for only as long as everything is as a healthy machine has it: all devices are there and can be read, each
// checksum is right, all copies of a group's metadata are alike and name exactly the devices that are there, and nothing
// is of a kind that is not known. LVM itself is asked otherwise: it alone decides what damaged or missing parts mean.

// errUnsure says that LVM is to be asked.
var errUnsure = errors.New("LVM has to be asked")

// attempts is how often reading begins anew because something was written meanwhile.
const attempts = 5

// disk is a device as it was last read.
type disk struct {
	heads  []byte // its label and the headers of its metadata areas, as they were
	number deviceNumber
	label
	areas []area
	group VolumeGroup // that its metadata describes; see hasGroup
	text  []byte      // of the metadata
	sum   uint32      // its checksum
}

func (d disk) hasGroup() bool { return d.group.UUID != "" }

// reader reads reports. It is for one goroutine.
type reader struct {
	disks map[string]disk // by path
}

// report reads what LVM would report of those devices. Errors: errUnsure, and others that mean the same.
func (r *reader) report(devices []string) (Report, error) {
	kernel, err := openControl()
	if err != nil {
		return Report{}, err
	}
	defer kernel.close()
	for range attempts {
		disks, err := r.readAll(devices)
		if err != nil {
			return Report{}, err
		}
		report, again, err := r.reportLocked(kernel, devices, disks)
		if err != nil || !again {
			return report, err
		}
	}
	return Report{}, fmt.Errorf("the metadata changed %d times while it was read: %w", attempts, errUnsure)
}

// reportLocked makes a report while nobody changes the groups. again says that somebody did just before.
func (r *reader) reportLocked(kernel *control, devices []string, before []disk) (report Report, again bool, err error) {
	unlock, err := lockGroups(lockFolder, groupNames(before), lockPatience)
	defer unlock()
	if err != nil && !errors.Is(err, ErrLocked) {
		return Report{}, false, err
	}
	disks, err := r.readAll(devices)
	if err != nil {
		return Report{}, false, err
	}
	same := func(a, b disk) bool { return bytes.Equal(a.heads, b.heads) }
	if !slices.EqualFunc(before, disks, same) {
		return Report{}, true, nil
	}
	report, err = assemble(devices, disks)
	for i := range report.VolumeGroups {
		if err == nil {
			err = kernel.complete(&report.VolumeGroups[i])
		}
	}
	return report, false, err
}

func groupNames(disks []disk) []string {
	names := map[string]bool{}
	for _, d := range disks {
		if d.hasGroup() {
			names[d.group.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// readAll reads the heads of all devices, and the metadata of those whose heads have changed.
func (r *reader) readAll(devices []string) ([]disk, error) {
	disks := make([]disk, len(devices))
	for i, path := range devices {
		d, err := readDisk(path, r.disks[path])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		disks[i] = d
	}
	r.disks = make(map[string]disk, len(devices))
	for i, path := range devices {
		r.disks[path] = disks[i]
	}
	return disks, nil
}

// headSize is what is read of each device: its label and, where LVM puts it by default, the header of a metadata area.
const headSize = 8 << 10

// readDisk reads one device. What is known of it is taken from before as far as its heads are what they were.
func readDisk(path string, before disk) (disk, error) {
	f, err := openDirect(path)
	if err != nil {
		return disk{}, err
	}
	defer f.Close()
	d := disk{}
	if d.number, err = numberOf(f); err != nil {
		return disk{}, err
	}
	for range attempts {
		if err = d.readHeads(f); err != nil {
			return disk{}, err
		}
		if bytes.Equal(d.heads, before.heads) && d.number == before.number {
			return before, nil
		}
		if err = d.readMetadata(f); !errors.Is(err, errTorn) {
			return d, err
		}
	}
	return disk{}, err
}

// errTorn says that a text is not what its header says: both are read again, as it may have been written meanwhile.
var errTorn = errors.New("metadata and its checksum do not agree")

func (d *disk) readHeads(f *os.File) error {
	head, err := readDirect(f, location{0, headSize})
	if err != nil {
		return err
	}
	d.label, _, err = parseLabel(head)
	if err != nil {
		return err
	}
	d.heads, d.areas = slices.Clone(head[:labelSectors*int(Sector)]), nil
	for _, at := range d.label.areas {
		var header []byte
		if at.Offset <= headSize-areaHeader {
			header = head[at.Offset:][:areaHeader]
		} else if header, err = readDirect(f, location{at.Offset, areaHeader}); err != nil {
			return err
		}
		a, err := parseArea(header, at)
		if err != nil {
			return err
		}
		d.areas, d.heads = append(d.areas, a), append(d.heads, header...)
	}
	return nil
}

// readMetadata reads the metadata once.
func (d *disk) readMetadata(f *os.File) (err error) {
	d.group, d.sum = VolumeGroup{}, 0
	d.text, err = d.readText(f)
	if err != nil || len(d.text) == 0 {
		return err
	}
	d.sum = checksum(d.text)
	d.group, err = parseMetadata(d.text)
	return err
}

// readText sees to it that all areas of the device say the same, and returns nothing when they are empty.
func (d *disk) readText(f *os.File) (text []byte, err error) {
	for i, a := range d.areas {
		var t []byte
		for _, part := range a.parts() {
			b, err := readDirect(f, part)
			if err != nil {
				return nil, err
			}
			t = append(t, b...)
		}
		if len(t) > 0 && checksum(t) != a.checksum {
			return nil, errTorn
		}
		if i > 0 && !bytes.Equal(t, text) {
			return nil, fmt.Errorf("metadata areas differ: %w", errUnsure)
		}
		text = t
	}
	return text, nil
}

// assemble makes a report of all but what the kernel knows.
func assemble(devices []string, disks []disk) (Report, error) {
	a := assembly{groups: map[string]*VolumeGroup{}, sums: map[string]uint32{}, paths: map[string]string{}}
	for i, d := range disks {
		if err := a.add(devices[i], d); err != nil {
			return Report{}, fmt.Errorf("%s: %w", devices[i], err)
		}
	}
	return a.report(devices, disks)
}

type assembly struct {
	groups  map[string]*VolumeGroup // by name
	sums    map[string]uint32       // of their metadata
	paths   map[string]string       // of physical volumes, by UUID
	numbers []deviceNumber
}

func (a *assembly) add(path string, d disk) error {
	if slices.Contains(a.numbers, d.number) {
		return fmt.Errorf("named twice: %w", errUnsure)
	}
	a.numbers = append(a.numbers, d.number)
	if d.uuid == "" {
		return nil
	}
	if other, ok := a.paths[d.uuid]; ok {
		return fmt.Errorf("has the same UUID as %s: %w", other, errUnsure)
	}
	a.paths[d.uuid] = path
	if !d.hasGroup() {
		return nil
	}
	g, ok := a.groups[d.group.Name]
	if !ok {
		clone := Report{VolumeGroups: []VolumeGroup{d.group}}.clone().VolumeGroups[0]
		g = &clone
		g.MetadataSize, g.MetadataFree = 1<<62, 1<<62
		a.groups[g.Name], a.sums[g.Name] = g, d.sum
	}
	if g.UUID != d.group.UUID || a.sums[g.Name] != d.sum {
		return fmt.Errorf("its metadata of %s is not that of another device: %w", g.Name, errUnsure)
	}
	for _, area := range d.areas {
		g.MetadataSize, g.MetadataFree = min(g.MetadataSize, Bytes(area.Size)), min(g.MetadataFree, area.free())
	}
	return nil
}

// report sees to it that groups and devices name one another.
func (a *assembly) report(devices []string, disks []disk) (Report, error) {
	var r Report
	members := map[string]string{} // the group of each physical volume, by UUID
	for _, name := range slices.Sorted(maps.Keys(a.groups)) {
		g := a.groups[name]
		for i := range g.PVs {
			pv := &g.PVs[i]
			path, ok := a.paths[pv.UUID]
			if other, taken := members[pv.UUID]; !ok || taken {
				return Report{}, fmt.Errorf("physical volume %s of %s is missing, or also of %q: %w", pv.UUID, name, other, errUnsure)
			}
			pv.Device, members[pv.UUID] = path, name
		}
		slices.SortFunc(g.PVs, func(a, b PhysicalVolume) int { return cmp.Compare(a.Device, b.Device) })
		r.VolumeGroups = append(r.VolumeGroups, *g)
	}
	for i, d := range disks {
		if d.uuid == "" {
			continue
		}
		if group, ok := members[d.uuid]; ok && (!d.hasGroup() || d.group.Name == group) {
			continue
		}
		if d.hasGroup() || d.used {
			return Report{}, fmt.Errorf("%s: a physical volume that its group does not know: %w", devices[i], errUnsure)
		}
		r.Unused = append(r.Unused, PhysicalVolume{Device: devices[i], UUID: d.uuid, Size: d.device, Free: d.device})
	}
	return r, nil
}

// openDirect opens a block device to be read as it is, not as it is cached: another name of the device may have its own cache.
func openDirect(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_DIRECT, 0)
}

// numberOf returns a block device's number.
func numberOf(f *os.File) (deviceNumber, error) {
	info, err := f.Stat()
	if err != nil {
		return deviceNumber{}, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return deviceNumber{}, fmt.Errorf("not a block device: %w", errUnsure)
	}
	return deviceNumber{unix.Major(st.Rdev), unix.Minor(st.Rdev)}, nil
}

// readDirect reads a part of a device. O_DIRECT wants whole blocks in memory that is aligned; no disk's are larger.
func readDirect(f *os.File, part location) ([]byte, error) {
	const block = 4096
	from := part.Offset / block * block
	to := (part.Offset + part.Size + block - 1) / block * block
	memory := make([]byte, to-from+block)
	skip := -uintptr(unsafe.Pointer(&memory[0])) % block
	memory = memory[skip:][:to-from]
	n, err := f.ReadAt(memory, int64(from))
	if wanted := part.Offset + part.Size - from; uint64(n) < wanted {
		return nil, fmt.Errorf("reading %d bytes at %d: %w", part.Size, part.Offset, cmp.Or(err, errUnsure))
	}
	return memory[part.Offset-from:][:part.Size], nil
}

// complete adds what the kernel knows of a group's volumes.
func (c *control) complete(vg *VolumeGroup) error {
	for i := range vg.LVs {
		if err := c.completeVolume(vg, &vg.LVs[i]); err != nil {
			return fmt.Errorf("%s/%s: %w", vg.Name, vg.LVs[i].Name, err)
		}
	}
	for i, lv := range vg.LVs {
		if pool, ok := poolOf(*vg, lv); ok && !pool.Active && lv.Active && !lv.Open && !lv.ReadOnly {
			vg.LVs[i].Stale = true
		}
	}
	return nil
}

// poolOf is the thin pool that a hidden volume is a part of.
func poolOf(vg VolumeGroup, part LogicalVolume) (LogicalVolume, bool) {
	suffix := partSuffix(part)
	if suffix == "" {
		return LogicalVolume{}, false
	}
	return vg.LV(strings.TrimSuffix(part.Name, "_"+suffix[1:]))
}

func (c *control) completeVolume(vg *VolumeGroup, lv *LogicalVolume) error {
	id := deviceUUID(*vg, *lv)
	if lv.Segment == ThinPool {
		return c.completePool(id, lv)
	}
	m, ok, err := c.mapping(id + partSuffix(*lv))
	if err != nil || !ok {
		return err
	}
	if len(m.targets) == 0 { // made, and not yet given a table: nobody can use it
		lv.Stale = true
		return nil
	}
	lv.set(m)
	lv.Active, lv.Stale = true, m.size() != lv.Size || misnamed(*vg, *lv, m)
	if lv.Segment != Thin {
		return nil
	}
	if len(m.targets) != 1 || m.targets[0].kind != string(Thin) {
		return fmt.Errorf("another table than it should have: %w", errUnsure)
	}
	if lv.Mapped = mapped(m.targets[0].status); lv.Mapped < 0 {
		lv.Mapped, lv.Health = 0, Failed
	}
	return nil
}

// misnamed says that a volume was renamed, and its device not.
func misnamed(vg VolumeGroup, lv LogicalVolume, m mapping) bool {
	return !lv.Hidden && m.name != deviceName(vg.Name, lv.Name)
}

// deviceUUID is the UUID of a volume's device, without the suffixes of parts.
func deviceUUID(vg VolumeGroup, lv LogicalVolume) string {
	return uuidPrefix + undashed(vg.UUID) + undashed(lv.UUID)
}

// completePool reads what is beneath a pool's volumes. LVM calls the pool itself active when there is a device of its own,
// too, which keeps others from using the one beneath; before a pool's first volume it has none.
func (c *control) completePool(id string, lv *LogicalVolume) error {
	m, ok, err := c.mapping(id + "-tpool")
	if err != nil || !ok {
		return err
	}
	top, ok, err := c.mapping(id + "-pool")
	if err != nil {
		return err
	}
	if len(m.targets) == 0 {
		lv.Stale = true
		return nil
	}
	lv.Active = ok && len(top.targets) > 0 || lv.TransactionID == 0
	if len(m.targets) != 1 || m.targets[0].kind != string(ThinPool) {
		return fmt.Errorf("another table than it should have: %w", errUnsure)
	}
	s, err := parsePoolStatus(m.targets[0].status)
	if err != nil {
		return err
	}
	lv.Health, lv.Stale = s.health, m.size() != lv.Size
	lv.Pending = s.health != Failed && s.transaction != lv.TransactionID
	if lv.Active || lv.Health == NeedsCheck {
		lv.set(m)
	}
	lv.Mapped, lv.MetadataUsed = s.data.of(lv.Size), s.metadata.of(lv.MetadataSize)
	return nil
}

// mapping is a device by its UUID; ok is false when there is none.
func (c *control) mapping(uuid string) (m mapping, ok bool, err error) {
	m, err = c.status(which{uuid: uuid})
	if errors.Is(err, ErrNoDevice) {
		return mapping{}, false, nil
	}
	return m, err == nil, err
}

func (l *LogicalVolume) set(m mapping) {
	l.Suspended, l.Open, l.ReadOnly = m.suspended, m.open > 0, l.ReadOnly || m.readOnly
}

// partSuffix ends the UUIDs of the devices of a thin pool's parts (lvm2: build_dm_uuid).
func partSuffix(lv LogicalVolume) string {
	for _, part := range []string{"tdata", "tmeta"} {
		if lv.Hidden && strings.HasSuffix(lv.Name, "_"+part) {
			return "-" + part
		}
	}
	return ""
}
