package lvmtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/loam-storage/loam/lvm"
)

// Fake is LVM in memory. It passes the same suite as the real one: it counts extents, refuses what LVM refuses, and fails
// with the same kinds of errors. It is safe for concurrent use; the exported fields are set before it is used.
//
// An operation is named as its method: "CreateThin", "Report".
type Fake struct {
	// Before is called when an operation begins, where the lvm process would: it may block, and so do then the other
	// mutations of that volume group, but no report and no Device.
	Before func(op string)
	// Fail, when it returns an error, makes an operation fail with it and change nothing.
	Fail func(op string) error
	// After, when it returns an error, makes an operation fail with it though it did what it was asked.
	After func(op string) error
	// Edit changes what a report says, for all that the fake cannot get into by itself: health, missing devices, exported groups.
	Edit func(*lvm.Report)
	// Dir, if set, holds a sparse file for each volume; Device then names it as the device's path, so that code that reads
	// and writes a device works. Snapshots get a copy.
	Dir string

	mu      sync.Mutex // guards what follows
	disks   map[string]*disk
	allowed []string
	groups  []*group
	locks   map[string]*sync.Mutex // by volume group
	calls   map[string]int
	serial  int
}

// disk is a block device: blank, or a physical volume, in a group or in none.
type disk struct {
	path, uuid, vg string
	physical       bool
	size           lvm.Bytes
	metadata       lvm.Bytes // where its extents begin, 4 KiB before being the metadata area
	extents, free  int64
}

type group struct {
	name, uuid string
	tags       []string
	extent     lvm.Bytes
	disks      []*disk
	volumes    []*volume
}

// volume keeps its names and figures as the report shows them.
type volume struct {
	lvm.LogicalVolume
	extents map[*disk]int64 // what it holds; thin volumes hold none
	shared  lvm.Bytes       // of Mapped: what its origin or a snapshot accounts for
	opened  int
	minor   uint32
}

// NewFake is LVM on blank disks of those sizes, by path. As with real LVM, it may look at none of them before SetDevices.
func NewFake(disks map[string]lvm.Bytes) *Fake {
	f := &Fake{disks: map[string]*disk{}, locks: map[string]*sync.Mutex{}, calls: map[string]int{}}
	for _, path := range slices.Sorted(maps.Keys(disks)) {
		f.AddDisk(path, disks[path])
	}
	return f
}

// AddDisk plugs a blank disk in.
func (f *Fake) AddDisk(path string, size lvm.Bytes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disks[path] = &disk{path: path, size: size, uuid: f.uuid()}
}

// SetDevices is as for lvm.LVM.
func (f *Fake) SetDevices(paths []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.allowed = slices.Clone(paths)
}

// Calls says how often an operation was called, whether it succeeded or not.
func (f *Fake) Calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Processes says how many lvm processes the real LVM would have run: one for each report and mutation.
func (f *Fake) Processes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for op, calls := range f.calls {
		if op != "Device" && op != "Flush" {
			n += calls
		}
	}
	return n
}

// SetMapped says how much of a thin volume is written. What is over that of its origin is its own.
func (f *Fake) SetMapped(vg, lv string, mapped lvm.Bytes) {
	f.knob(vg, lv, func(v *volume) {
		v.Mapped = mapped
		v.shared = min(v.shared, mapped)
	})
}

// SetOpen says how many hold a volume open: one that is mounted is.
func (f *Fake) SetOpen(vg, lv string, count int) {
	f.knob(vg, lv, func(v *volume) { v.opened, v.Open = count, count > 0 })
}

// SetActive changes what is active, as another program or a reboot would.
func (f *Fake) SetActive(vg, lv string, active bool) {
	f.knob(vg, lv, func(v *volume) { v.Active = active })
}

// SetHealth says what is wrong with a volume.
func (f *Fake) SetHealth(vg, lv string, health lvm.Health) {
	f.knob(vg, lv, func(v *volume) { v.Health = health })
}

// Reboot leaves everything inactive and nothing open.
func (f *Fake) Reboot() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.groups {
		for _, v := range g.volumes {
			v.Active, v.opened, v.Open = false, 0, false
		}
	}
}

// knob changes a volume that must exist: a test that names another is wrong.
func (f *Fake) knob(vg, lv string, change func(*volume)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.group(vg); g != nil {
		if v := g.volume(lv); v != nil {
			change(v)
			return
		}
	}
	panic(fmt.Sprintf("the fake LVM has no volume %s/%s", vg, lv))
}

// mutate runs one operation on a volume group as lvm.LVM does: one at a time for each group.
func (f *Fake) mutate(op, vg string, act func() error) error {
	lock := f.lock(vg)
	lock.Lock()
	defer lock.Unlock()
	if err := f.begin(op); err != nil {
		return err
	}
	f.mu.Lock()
	err := f.reachable()
	if err == nil {
		err = act()
	}
	f.mu.Unlock()
	if err == nil && f.After != nil {
		err = f.After(op)
	}
	return err
}

func (f *Fake) begin(op string) error {
	f.mu.Lock()
	f.calls[op]++
	f.mu.Unlock()
	if f.Before != nil {
		f.Before(op)
	}
	if f.Fail != nil {
		return f.Fail(op)
	}
	return nil
}

func (f *Fake) lock(vg string) *sync.Mutex {
	f.mu.Lock()
	defer f.mu.Unlock()
	lock, ok := f.locks[vg]
	if !ok {
		lock = new(sync.Mutex)
		f.locks[vg] = lock
	}
	return lock
}

// reachable is what lvm.LVM says of the allowed devices before it runs anything.
func (f *Fake) reachable() error {
	for _, d := range f.allowed {
		if err := lvm.CheckDevice(d); err != nil {
			return err
		}
	}
	if len(f.allowed) == 0 {
		return fmt.Errorf("LVM may look at no device")
	}
	return nil
}

func (f *Fake) group(name string) *group {
	i := slices.IndexFunc(f.groups, func(g *group) bool { return g.name == name })
	if i < 0 {
		return nil
	}
	return f.groups[i]
}

// writable returns the group if LVM may change it: all its devices are there and allowed.
func (f *Fake) writable(command, name string) (*group, error) {
	g := f.group(name)
	if g == nil || !slices.ContainsFunc(g.disks, f.visible) {
		return nil, failure(command, "Volume group %q not found", name)
	}
	for _, d := range g.disks {
		if !f.visible(d) {
			return nil, failure(command, "Cannot change VG %s while PVs are missing.", name)
		}
	}
	return g, nil
}

func (f *Fake) visible(d *disk) bool {
	return slices.Contains(f.allowed, d.path) && f.disks[d.path] == d
}

func (g *group) volume(name string) *volume {
	i := slices.IndexFunc(g.volumes, func(v *volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return g.volumes[i]
}

// uuid has LVM's form.
func (f *Fake) uuid() string {
	f.serial++
	n := fmt.Sprintf("%032x", f.serial)
	return fmt.Sprintf("%s-%s-%s-%s-%s-%s-%s", n[:6], n[6:10], n[10:14], n[14:18], n[18:22], n[22:26], n[26:])
}

// failure is how an lvm command fails: with status 5 (lvm(8), ECMD_FAILED).
func failure(command, format string, args ...any) error {
	return &lvm.CommandError{Args: []string{command}, ExitCode: 5, Stderr: "  " + fmt.Sprintf(format, args...) + "\n"}
}
