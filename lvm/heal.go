package lvm

import (
	"context"
	"errors"
	"fmt"
)

// Healed is one thing that Heal mended.
type Healed struct {
	Volume string // its logical volume
	What   string // for people
}

// Heal mends what a command of LVM leaves that was killed, or a machine that lost power in the middle of one: devices without a
// table are removed, and parts of thin pools without their pool; what was to be told to a thin pool is told, suspended devices are
// resumed, and tables that are not what the metadata say are loaded anew. It waits for the end of a change that is at work, runs a
// command only for tables that it cannot load itself, and nothing at all when there is nothing to mend. What it cannot be sure of
// it leaves as it is: a report shows it. Errors: ErrUnclear; LVM's; device-mapper's.
func (l *LVM) Heal(_ context.Context, vg string) ([]Healed, error) {
	if err := CheckGroup(vg); err != nil {
		return nil, err
	}
	lock := l.group(vg)
	lock.Lock()
	defer lock.Unlock()
	if err := l.answers(vg); err != nil {
		return nil, err
	}
	h := healing{l: l, vg: vg}
	stale, err := h.natively()
	if err == nil && stale {
		err = h.l.changeLocked(vg, refreshGroupArgs(vg))
	}
	return h.done, err
}

type healing struct {
	l    *LVM
	vg   string
	done []Healed

	kernel *control
	group  VolumeGroup
	text   []byte // of its metadata
}

func (h *healing) note(volume, what string) { h.done = append(h.done, Healed{volume, what}) }

// natively does what needs no command, while nobody changes the group. stale says that there are tables for LVM to load.
func (h *healing) natively() (stale bool, err error) {
	unlock, err := lockGroup(h.vg)
	if err != nil {
		return false, err
	}
	defer unlock()
	if h.kernel, err = openControl(); err != nil {
		return false, err
	}
	defer h.kernel.close()
	for _, step := range []func() error{h.removeEmpty, h.removeParts, h.unload, h.shorten, h.settle, h.resume, h.reload} {
		if err := h.look(); err != nil {
			return false, err
		}
		if err := step(); err != nil {
			return false, err
		}
	}
	if err := h.look(); err != nil {
		return false, err
	}
	for _, lv := range h.group.LVs {
		if lv.Active && lv.Stale {
			h.note(lv.Name, "reloaded by LVM: its size or its name was not what the metadata say")
			stale = true
		}
	}
	return stale, nil
}

func (h *healing) look() error {
	r := newReader(&h.l.asked)
	report, err := r.report(h.l.allowed())
	if err != nil {
		return err
	}
	var ok bool
	if h.group, ok = report.VolumeGroup(h.vg); !ok {
		return fmt.Errorf("no volume group %s: %w", h.vg, errUnsure)
	}
	for _, d := range r.disks {
		if d.group.Name == h.vg {
			h.text = d.text
		}
	}
	return nil
}

// devices are those that the kernel has of a volume, what others stand on first.
func (h *healing) devices(lv LogicalVolume) ([]mapping, error) {
	id := deviceUUID(h.group, lv)
	ids := []string{id + partSuffix(lv)}
	if lv.Segment == ThinPool {
		ids = []string{id + "-tpool", id + "-pool"}
	}
	var all []mapping
	for _, id := range ids {
		m, ok, err := h.kernel.mapping(id)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, m)
		}
	}
	return all, nil
}

// removeEmpty takes away devices that were made and never given a table: nobody can use them, and LVM stumbles over them.
func (h *healing) removeEmpty() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		if len(m.targets) > 0 || m.open > 0 {
			return nil
		}
		h.note(lv.Name, "device without a table removed")
		return h.kernel.remove(which{uuid: m.uuid})
	})
}

// removeParts takes away the parts of thin pools that are active without their pool, as long as LVM does not activate the pool then.
// For a person who looks into such a part LVM makes it read-only.
func (h *healing) removeParts() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		pool, ok := poolOf(h.group, lv)
		if !ok || m.open > 0 || m.readOnly {
			return nil
		}
		if devices, err := h.devices(pool); err != nil || len(devices) > 0 {
			return err
		}
		h.note(lv.Name, "deactivated: it was active without its pool, which could not be activated then")
		return h.kernel.remove(which{uuid: m.uuid})
	})
}

// unload takes back tables that were loaded and never used: they may be of metadata that were never written, and whoever resumes
// the device next would use them.
func (h *healing) unload() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		if !m.loaded {
			return nil
		}
		h.note(lv.Name, "table taken back that was loaded and not used")
		return h.kernel.unload(which{uuid: m.uuid})
	})
}

// shorten takes from the parts of pools what an interrupted extension gave them before it was in the metadata. A pool that is resumed
// first would note the larger metadata device as its own, and never start again with the one that the metadata say.
func (h *healing) shorten() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		pool, ok := poolOf(h.group, lv)
		if !ok || m.size() <= lv.Size {
			return nil
		}
		if err := h.notNoticed(pool, lv); err != nil {
			return err
		}
		device := which{uuid: m.uuid}
		table, err := h.kernel.table(device)
		if err != nil {
			return err
		}
		targets, err := shortened(table.targets, lv.Size)
		if err != nil {
			return err
		}
		h.note(lv.Name, "shortened to what the metadata say, from what an extension that was interrupted gave it")
		if err := h.kernel.load(device, targets...); err != nil {
			return err
		}
		return errors.Join(h.kernel.suspend(device), h.kernel.resume(device))
	})
}

// notNoticed makes sure that a thin pool does not use what one of its parts has too much of.
func (h *healing) notNoticed(pool, part LogicalVolume) error {
	m, err := h.kernel.status(which{uuid: deviceUUID(h.group, pool) + "-tpool"})
	if errors.Is(err, ErrNoDevice) {
		return nil
	}
	if err != nil || len(m.targets) != 1 {
		return errors.Join(err, ErrUnclear)
	}
	status, err := parsePoolStatus(m.targets[0].status)
	if err != nil {
		return err
	}
	uses := m.size()
	if partSuffix(part) == "-tmeta" {
		uses = Bytes(status.metadata.whole) * metadataBlock
	}
	if uses > part.Size {
		return fmt.Errorf("its pool uses %v of it, and the metadata say that it has %v: %w", uses, part.Size, ErrUnclear)
	}
	return nil
}

// shortened is the beginning of a table of linear or striped targets.
func shortened(table []target, to Bytes) ([]target, error) {
	var kept []target
	for _, t := range table {
		end := uint64(to / Sector)
		switch {
		case t.kind != string(Linear) && t.kind != string(Striped):
			return nil, fmt.Errorf("a table with %s: %w", t.kind, ErrUnclear)
		case t.start >= end:
			continue
		}
		t.length = min(t.length, end-t.start)
		kept = append(kept, t)
	}
	return kept, nil
}

// resume resumes what is suspended, the parts of a pool first, and then the pool.
func (h *healing) resume() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		if !m.suspended {
			return nil
		}
		h.note(lv.Name, "resumed: it was suspended, and whoever used it waited")
		return h.kernel.resume(which{uuid: m.uuid})
	})
}

// each calls do for all devices: those of hidden volumes, of pools, and of the others.
func (h *healing) each(do func(LogicalVolume, mapping) error) error {
	rank := func(lv LogicalVolume) int {
		switch {
		case lv.Hidden:
			return 0
		case lv.Segment == ThinPool:
			return 1
		}
		return 2
	}
	for r := range 3 {
		for _, lv := range h.group.LVs {
			if rank(lv) != r {
				continue
			}
			devices, err := h.devices(lv)
			if err != nil {
				return err
			}
			for _, m := range devices {
				if err := do(lv, m); err != nil {
					return fmt.Errorf("%s/%s: %w", h.vg, lv.Name, err)
				}
			}
		}
	}
	return nil
}

// reload loads the tables of thin volumes that are smaller than their metadata say.
func (h *healing) reload() error {
	return h.each(func(lv LogicalVolume, m mapping) error {
		if lv.Segment != Thin || m.size() >= lv.Size {
			return nil
		}
		h.note(lv.Name, "table loaded anew: it was not as large as the metadata say")
		return h.kernel.resizeThin(m.uuid, lv.Size)
	})
}
