package lvm

import (
	"errors"
	"fmt"
	"strings"
)

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
	lv.Active, lv.Stale = true, !isSpare(*lv) && (m.size() != lv.Size || misnamed(*vg, *lv, m))
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

// isSpare says whether a volume is a group's spare metadata. pvmove(8) leaves its device, which nobody uses, and no refresh by LVM gives it
// its size.
func isSpare(lv LogicalVolume) bool { return lv.Hidden && strings.HasSuffix(lv.Name, "_pmspare") }

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
