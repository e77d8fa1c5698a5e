package lvm

import (
	"fmt"
	"os"
	"slices"
)

// CreateGroup makes a volume group, and physical volumes of its devices. The devices must be among those of SetDevices
// and blank: one that carries any signature is an error, and is left as it is.
func (l *LVM) CreateGroup(r CreateGroup) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.Name, createGroupArgs(r), r.Devices...)
}

// ExtendGroup adds blank devices to a volume group, each with a metadata area of that size (0: LVM's default). It treats
// devices as CreateGroup does.
func (l *LVM) ExtendGroup(vg string, metadataSize Bytes, devices ...string) error {
	if len(devices) == 0 {
		return nil
	}
	r := CreateGroup{Name: vg, Devices: devices, MetadataSize: metadataSize}
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(vg, extendGroupArgs(vg, metadataSize, devices), devices...)
}

// Clear makes devices blank that are physical volumes, whatever group they are in: its caller knows that they are Unfinished. They
// are about to be claimed for that group.
func (l *LVM) Clear(vg string, devices ...string) error {
	if len(devices) == 0 {
		return nil
	}
	if err := (CreateGroup{Name: vg, Devices: devices}).Check(); err != nil {
		return err
	}
	return l.change(vg, clearArgs(devices), devices...)
}

// CreatePool makes an active thin pool that returns errors when full, zeroes new blocks and has spare metadata.
func (l *LVM) CreatePool(r CreatePool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.VG, createPoolArgs(r))
}

// ExtendPool makes a thin pool's data, its metadata or both larger; the spare metadata follows. Sizes that are not larger
// than the present ones are an error, or for one of two nothing.
func (l *LVM) ExtendPool(r ExtendPool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.VG, extendPoolArgs(r))
}

// CreateThin makes an active thin volume. Its first bytes are not written: nothing of it is mapped.
func (l *LVM) CreateThin(r CreateThin) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.VG, createThinArgs(r))
}

// CreateThick makes an active linear or striped volume. Signatures of what its extents held before are wiped, the rest of
// that is still there: wiping a volume before it is removed is its caller's.
func (l *LVM) CreateThick(r CreateThick) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.VG, createThickArgs(r))
}

// CreateSnapshot makes a thin snapshot of a thin volume or of another snapshot, active or not.
func (l *LVM) CreateSnapshot(r CreateSnapshot) error {
	if err := r.Check(); err != nil {
		return err
	}
	return l.change(r.VG, createSnapshotArgs(r))
}

// Remove removes volumes, active or not, in one command, and a thin pool with all its volumes. One that does not exist or
// is open is an error; the others are then removed, or left inactive: only a report tells.
func (l *LVM) Remove(vg string, lvs ...string) error {
	return l.changeVolumes(vg, lvs, removeArgs)
}

// Activate activates volumes, also those whose activation is skipped by default; active ones stay as they are. One that
// does not exist is an error, but the others are activated.
func (l *LVM) Activate(vg string, lvs ...string) error {
	return l.changeVolumes(vg, lvs, activateArgs)
}

// Deactivate deactivates volumes; inactive ones stay as they are. One that is open or does not exist is an error, but the
// others are deactivated.
func (l *LVM) Deactivate(vg string, lvs ...string) error {
	return l.changeVolumes(vg, lvs, deactivateArgs)
}

// Rename gives a volume another name, active and open or not.
func (l *LVM) Rename(vg, from, to string) error {
	if err := checkVolumes(vg, []string{from, to}); err != nil {
		return err
	}
	return l.change(vg, renameArgs(vg, from, to))
}

// ChangeTags adds and removes tags; to add a tag that is there, or to remove one that is not, is no error.
func (l *LVM) ChangeTags(r ChangeTags) error {
	if err := r.Check(); err != nil {
		return err
	}
	if len(r.Names) == 0 || len(r.Add)+len(r.Remove) == 0 {
		return nil
	}
	return l.change(r.VG, changeTagsArgs(r))
}

// Flush returns nil when what a report shows of a group survives a power cut. It is for a retry that finds its work done:
// an earlier call, or an earlier agent, may have ended between the change and its flush. No process runs. Errors: ErrNotDurable.
func (l *LVM) Flush(vg string) error {
	if err := CheckGroup(vg); err != nil {
		return err
	}
	lock := l.group(vg)
	lock.Lock()
	defer lock.Unlock()
	if err := l.answers(vg); err != nil {
		return err
	}
	return l.flushAll(l.toFlush(vg, nil))
}

// changeVolumes runs nothing for no volumes: LVM would take a group's name alone for all that it holds.
func (l *LVM) changeVolumes(vg string, lvs []string, args func(string, []string) []string) error {
	if err := CheckGroup(vg); err != nil {
		return err
	}
	if err := checkVolumes(vg, lvs); err != nil {
		return err
	}
	if len(lvs) == 0 {
		return nil
	}
	return l.change(vg, args(vg, lvs))
}

// change runs one mutating command and flushes the group's devices and those that the command added to it. It flushes
// also after a failure, as that may have changed something, which a retry then finds done and does not do again.
func (l *LVM) change(vg string, args []string, added ...string) error {
	lock := l.group(vg)
	lock.Lock()
	defer lock.Unlock()
	return l.changeLocked(vg, args, added...)
}

// changeLocked is change for who has the group's lock.
//
// While somebody else's command has the group locked, or a disk of it does not answer, none is begun: it could not be ended. Errors:
// ErrLocked; ErrSilent.
func (l *LVM) changeLocked(vg string, args []string, added ...string) error {
	if err := l.answers(vg); err != nil {
		return err
	}
	unlock, err := lockGroup(vg)
	if err != nil {
		return err
	}
	unlock()
	_, err = l.run(args)
	flushed := l.flushAll(l.toFlush(vg, added))
	if err != nil {
		return err
	}
	return flushed
}

// toFlush notes the devices that a command added to a group and returns what is to be flushed: the group's devices as
// far as known, and otherwise all that LVM may look at.
func (l *LVM) toFlush(vg string, added []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.members[vg]
	if len(added) > 0 {
		l.changes++ // a report that runs now may not have seen them
		delete(l.members, vg)
		ok = false
	}
	if !ok {
		return l.answering()
	}
	return slices.Clone(known)
}

func (l *LVM) flushAll(devices []string) error {
	for _, d := range devices {
		if err := l.flush(d); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("%w: %w", ErrNotDurable, err)
		}
	}
	return nil
}

// fsync flushes a device's write cache. LVM writes with O_DIRECT but never flushes. fsync(2) of a block device does, whatever
// it was opened for; opened read-only, closing it does not make udev look at it again.
func fsync(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
