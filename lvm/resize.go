package lvm

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Extend makes a volume larger, active or not, never smaller, and leaves its file system alone. A size that rounds up to
// the present one, or less, is an error of LVM's: whether to extend is decided from a report. A volume that is Stale may be
// extended to the size that it has, which finishes the interrupted change.
//
// lvextend of one thin volume suspends its pool and with it all the others', for longer the more there are (100 of them: over a
// second). So LVM changes the metadata alone, and the one device gets its new size here; the pool is not touched.
func (l *LVM) Extend(vg, lv string, to Bytes) error {
	if err := CheckVolume(vg, lv); err != nil {
		return err
	}
	if err := checkSize("logical volume", to); err != nil {
		return err
	}
	lock := l.group(vg)
	lock.Lock()
	defer lock.Unlock()
	group, v, err := l.look(vg, lv)
	switch {
	case err != nil || v.Segment != Thin || v.Active && resizable(group, v) != nil:
		return l.changeLocked(vg, extendArgs(vg, lv, to)) // what it is not sure of it leaves to LVM
	case v.Stale && to.RoundUp(group.ExtentSize) <= v.Size:
		return l.reload(vg, lv)
	}
	if err := l.changeLocked(vg, extendMetadataArgs(vg, lv, to)); err != nil || !v.Active {
		return err
	}
	return l.reload(vg, lv)
}

// lookGroup reads one group, natively or not at all.
func (l *LVM) lookGroup(vg string) (VolumeGroup, error) {
	r := newReader(&l.asked)
	report, err := r.report(l.allowed())
	if err != nil {
		return VolumeGroup{}, err
	}
	group, ok := report.VolumeGroup(vg)
	if !ok {
		return VolumeGroup{}, fmt.Errorf("no volume group %s: %w", vg, errUnsure)
	}
	return group, nil
}

// look is lookGroup, and one of its volumes.
func (l *LVM) look(vg, lv string) (VolumeGroup, LogicalVolume, error) {
	group, err := l.lookGroup(vg)
	if err != nil {
		return VolumeGroup{}, LogicalVolume{}, err
	}
	v, ok := group.LV(lv)
	if !ok {
		return VolumeGroup{}, LogicalVolume{}, fmt.Errorf("no volume %s/%s: %w", vg, lv, errUnsure)
	}
	return group, v, nil
}

// reload gives the device of a thin volume the size that its metadata say; by LVM, with its pool suspended, if nothing else helps.
func (l *LVM) reload(vg, lv string) error {
	if err := l.reloadAlone(vg, lv); err != nil {
		return l.changeLocked(vg, refreshArgs(vg, lv))
	}
	return nil
}

func (l *LVM) reloadAlone(vg, lv string) error {
	unlock, err := lockGroup(vg) // nobody changes the group meanwhile
	if err != nil {
		return err
	}
	defer unlock()
	group, v, err := l.look(vg, lv)
	if err != nil || !v.Active || !v.Stale {
		return err
	}
	kernel, err := openControl()
	if err != nil {
		return err
	}
	defer kernel.close()
	return kernel.resizeThin(deviceUUID(group, v), v.Size)
}

// resizable says why a device cannot be resized here: it is not exactly what this package has LVM make.
func resizable(group VolumeGroup, v LogicalVolume) error {
	kernel, err := openControl()
	if err != nil {
		return err
	}
	defer kernel.close()
	_, err = kernel.thinTable(deviceUUID(group, v))
	return err
}

// thinTable is the only target of a thin volume's device: "<pool's device> <device id>" (kernel:
// Documentation/admin-guide/device-mapper/thin-provisioning.rst). Errors: errUnsure when it is anything else.
func (c *control) thinTable(uuid string) (target, error) {
	m, err := c.table(which{uuid: uuid})
	if err != nil {
		return target{}, err
	}
	if m.readOnly || len(m.targets) != 1 || m.targets[0].kind != string(Thin) || m.targets[0].start != 0 || len(strings.Fields(m.targets[0].status)) != 2 {
		return target{}, fmt.Errorf("device %s is %+v: %w", uuid, m, errUnsure)
	}
	return m.targets[0], nil
}

// resizeThin gives a thin volume's device a longer table, also if an earlier attempt ended half-way: a table that was loaded is
// replaced, and what is suspended is resumed. Its requests wait as long as the two last calls take; those of its neighbours do not.
func (c *control) resizeThin(uuid string, size Bytes) error {
	device := which{uuid: uuid}
	t, err := c.thinTable(uuid)
	if err != nil {
		return err
	}
	if Bytes(t.length)*Sector > size {
		return fmt.Errorf("device %s is larger than its metadata say: %w", uuid, errUnsure)
	}
	t.length = uint64(size / Sector)
	if err := c.load(device, t); err != nil {
		return err
	}
	if err := c.suspend(device); err != nil {
		return errors.Join(err, c.unload(device))
	}
	if err := c.resume(device); err != nil {
		return err
	}
	if m, err := c.table(device); err != nil || m.size() != size || m.suspended {
		return fmt.Errorf("device %s did not become %v large: %w", uuid, size, errors.Join(err, unix.EIO))
	}
	return nil
}
