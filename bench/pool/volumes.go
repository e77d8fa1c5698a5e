package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/volume"
)

// prefix begins the name of every volume that is made here, for people. By its tag alone it is known.
const prefix = "loam-bench-"

var tag = volume.KindTag(volume.Bench)

// ErrLeft says that volumes could not be removed.
var ErrLeft = errors.New("left for the next loam bench to remove")

// volumes are the logical volumes that a measurement makes for itself.
type volumes struct {
	lvm      *lvm.LVM
	group    string
	thinPool string
	held     map[string]*os.File // open, to keep others from using a volume, by its name
	closers  []func() error      // of file systems
}

// look is the group as it is now.
func (v *volumes) look(ctx context.Context) (lvm.VolumeGroup, error) {
	report, err := v.lvm.Report(ctx)
	if err != nil {
		return lvm.VolumeGroup{}, err
	}
	group, ok := report.VolumeGroup(v.group)
	if !ok {
		return lvm.VolumeGroup{}, fmt.Errorf("no volume group %s on the disks that the agent names", v.group)
	}
	return group, nil
}

// thick makes a linear volume, or a striped one.
func (v *volumes) thick(name string, size lvm.Bytes, stripes int) (lvm.Device, error) {
	return v.made(prefix+name, v.lvm.CreateThick(lvm.CreateThick{VG: v.group, Name: prefix + name, Size: size, Stripes: stripes, Tags: []string{tag}}))
}

// thin makes a thin volume, of which nothing is mapped: it may read as another's bytes otherwise.
func (v *volumes) thin(name string, size lvm.Bytes) (lvm.Device, error) {
	request := lvm.CreateThin{VG: v.group, Pool: v.thinPool, Name: prefix + name, Size: size, Tags: []string{tag}}
	d, err := v.made(request.Name, v.lvm.CreateThin(request))
	if err == nil && d.Mapped != 0 {
		err = fmt.Errorf("%s/%s is new, and %v of it are mapped", v.group, request.Name, d.Mapped)
	}
	return d, err
}

// snapshot takes one of a thin volume, as CSI's CreateSnapshot does.
func (v *volumes) snapshot(origin, name string) error {
	return v.lvm.CreateSnapshot(lvm.CreateSnapshot{VG: v.group, Pool: v.thinPool, Origin: prefix + origin, Name: prefix + name, Tags: []string{tag}})
}

func (v *volumes) made(name string, err error) (lvm.Device, error) {
	if err != nil {
		return lvm.Device{}, err
	}
	d, err := v.lvm.Device(v.group, name)
	if err != nil {
		return lvm.Device{}, err
	}
	return d, v.hold(name, d.Path)
}

// hold keeps others from mounting, formatting or removing a volume (open(2), O_EXCL of a block device).
func (v *volumes) hold(name, path string) error {
	f, err := filesystem.OpenAlone(path, os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("opening %s for this measurement alone: %w", path, err)
	}
	v.held[name] = f
	return nil
}

func (v *volumes) release(name string) {
	if f, ok := v.held[name]; ok {
		_ = f.Close() // only read
		delete(v.held, name)
	}
}

// blank makes a thin volume as it was when it was new.
func (v *volumes) blank(ctx context.Context, name, path string) error {
	v.release(prefix + name)
	if err := filesystem.Discard(ctx, path); err != nil {
		return err
	}
	if err := v.hold(prefix+name, path); err != nil {
		return err
	}
	d, err := v.lvm.Device(v.group, prefix+name)
	if err == nil && d.Mapped != 0 {
		err = fmt.Errorf("%s was discarded, and %v of it are still mapped: its thin pool does not heed that", path, d.Mapped)
	}
	return err
}

// remove removes a volume at once.
func (v *volumes) remove(name string) error {
	v.release(prefix + name)
	return patiently(func() error { return v.lvm.Remove(v.group, prefix+name) })
}

// removeAll removes every volume that has the tag, whoever made it, and says how many there were. What was on thick ones is zeroed: the
// next volume there is somebody's.
func (v *volumes) removeAll(ctx context.Context) (found int, err error) {
	var failed []error
	for _, end := range slices.Backward(v.closers) {
		failed = append(failed, end())
	}
	v.closers = nil
	group, err := v.look(ctx)
	if err != nil {
		return 0, errors.Join(append(failed, err)...)
	}
	var names []string
	for _, lv := range group.LVs {
		if lv.Hidden || !lv.HasTag(tag) {
			continue
		}
		found++
		v.release(lv.Name)
		if err := v.zero(ctx, lv); err != nil {
			failed = append(failed, err)
			continue
		}
		names = append(names, lv.Name)
	}
	failed = append(failed, patiently(func() error { return v.lvm.Remove(v.group, names...) }))
	if err = errors.Join(failed...); err != nil && found > 0 {
		err = fmt.Errorf("%w: %s in volume group %s: %w", ErrLeft, strings.Join(tagged(group), ", "), v.group, err)
	}
	return found, err
}

func tagged(group lvm.VolumeGroup) (names []string) {
	for _, lv := range group.LVs {
		if !lv.Hidden && lv.HasTag(tag) {
			names = append(names, lv.Name)
		}
	}
	return names
}

// zero wipes a thick volume; a thin one's blocks are zeroed by its pool when they are given out again.
func (v *volumes) zero(ctx context.Context, lv lvm.LogicalVolume) error {
	if lv.Pool != "" {
		return nil
	}
	if !lv.Active {
		if err := v.lvm.Activate(v.group, lv.Name); err != nil {
			return err
		}
	}
	d, err := v.lvm.Device(v.group, lv.Name)
	if err != nil {
		return err
	}
	return filesystem.Zero(ctx, d.Path)
}

// patiently does something again while another command has the group locked, each time for as long as package lvm waits.
func patiently(f func() error) (err error) {
	const tries = 6
	for range tries {
		if err = f(); !errors.Is(err, lvm.ErrLocked) {
			break
		}
	}
	return err
}
