package lvmtest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// ExtendPool is as for lvm.LVM.
func (f *Fake) ExtendPool(r lvm.ExtendPool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return f.mutate("ExtendPool", r.VG, func() error {
		g, v, err := f.find("lvextend", r.VG, r.Name)
		if err != nil {
			return err
		}
		if v.Segment != lvm.ThinPool {
			return failure("lvextend", "%s/%s is not a pool.", r.VG, r.Name)
		}
		return f.growPool(g, v, r)
	})
}

func (f *Fake) growPool(g *group, v *volume, r lvm.ExtendPool) error {
	data := max(v.Size, r.Size.RoundUp(g.extent*lvm.Bytes(v.Stripes)))
	metadata := max(v.MetadataSize, r.MetadataSize.RoundUp(g.extent))
	if data == v.Size && metadata == v.MetadataSize {
		return failure("lvextend", "New size matches existing size.")
	}
	free := g.freeByDisk()
	tdata, tmeta := g.volume(v.Name+"_tdata"), g.volume(v.Name+"_tmeta")
	if !g.allocate(tdata, data-v.Size) || !g.allocate(tmeta, metadata-v.MetadataSize) || !f.spare(g, metadata) {
		g.restore(free)
		return noRoom(g, data-v.Size)
	}
	v.Size, tdata.Size = data, data
	v.MetadataSize, tmeta.Size = metadata, metadata
	return nil
}

// Extend is as for lvm.LVM.
func (f *Fake) Extend(vg, lv string, to lvm.Bytes) error {
	if err := (lvm.CreateThick{VG: vg, Name: lv, Size: to}).Check(); err != nil {
		return err
	}
	return f.mutate("Extend", vg, func() error {
		g, v, err := f.find("lvextend", vg, lv)
		if err != nil {
			return err
		}
		if v.Segment == lvm.ThinPool {
			return f.growPool(g, v, lvm.ExtendPool{Size: to})
		}
		grown := to.RoundUp(g.extent * lvm.Bytes(v.Stripes))
		if grown <= v.Size {
			return failure("lvextend", "New size given (%d extents) not larger than existing size (%d extents)", grown/g.extent, v.Size/g.extent)
		}
		if v.Segment != lvm.Thin && !g.allocate(v, grown-v.Size) {
			return failure("lvextend", "Insufficient suitable allocatable extents for logical volume %s: %d more required", lv, (grown-v.Size)/g.extent)
		}
		v.Size = grown
		return f.resizeFile(vg, v)
	})
}

// Remove is as for lvm.LVM.
func (f *Fake) Remove(vg string, lvs ...string) error {
	return f.several("Remove", vg, lvs, func(g *group) error {
		return g.each("lvremove", lvs, func(v *volume) error {
			if v.opened > 0 {
				return failure("lvremove", "Logical volume %s/%s in use.", vg, v.Name)
			}
			f.remove(g, v)
			return nil
		})
	})
}

// remove takes a volume away, and a thin pool with its volumes.
func (f *Fake) remove(g *group, v *volume) {
	doomed := []*volume{v}
	if v.Segment == lvm.ThinPool {
		doomed = append(doomed, g.volume(v.Name+"_tdata"), g.volume(v.Name+"_tmeta"))
		for _, other := range g.volumes {
			if other.Pool == v.Name {
				doomed = append(doomed, other)
			}
		}
	}
	for _, d := range doomed {
		g.release(d)
		f.removeFile(g.name, d)
	}
	g.volumes = slices.DeleteFunc(g.volumes, func(v *volume) bool { return slices.Contains(doomed, v) })
	if spare := g.volume(spareName); spare != nil && !slices.ContainsFunc(g.volumes, func(v *volume) bool { return v.Segment == lvm.ThinPool }) {
		g.release(spare)
		g.volumes = slices.DeleteFunc(g.volumes, func(v *volume) bool { return v == spare })
	}
}

// release gives a volume's extents back. What snapshots share with it is theirs from then on: the first pays for it.
func (g *group) release(v *volume) {
	for d, n := range v.extents {
		d.free += n
	}
	own := v.Mapped - v.shared
	for _, other := range g.volumes {
		if other.Origin != v.Name {
			continue
		}
		paid := min(own, other.shared)
		other.shared, own = other.shared-paid, own-paid
		other.Origin = ""
	}
	if pool := g.volume(v.Pool); pool != nil {
		pool.TransactionID++
	}
}

// Activate is as for lvm.LVM.
func (f *Fake) Activate(vg string, lvs ...string) error {
	return f.several("Activate", vg, lvs, func(g *group) error {
		return g.each("lvchange", lvs, func(v *volume) error {
			v.Active = true
			if pool := g.volume(v.Pool); pool != nil {
				pool.Active = true
			}
			return nil
		})
	})
}

// Deactivate is as for lvm.LVM.
func (f *Fake) Deactivate(vg string, lvs ...string) error {
	return f.several("Deactivate", vg, lvs, func(g *group) error {
		return g.each("lvchange", lvs, func(v *volume) error {
			if v.opened > 0 {
				return failure("lvchange", "Logical volume %s/%s in use.", vg, v.Name)
			}
			v.Active = false
			return nil
		})
	})
}

// Rename is as for lvm.LVM.
func (f *Fake) Rename(vg, from, to string) error {
	for _, lv := range []string{from, to} {
		if err := lvm.CheckVolume(vg, lv); err != nil {
			return err
		}
	}
	return f.mutate("Rename", vg, func() error {
		g, v, err := f.find("lvrename", vg, from)
		if err != nil {
			return err
		}
		if g.volume(to) != nil {
			return failure("lvrename", "Logical volume %q already exists in volume group %q", to, vg)
		}
		for _, other := range g.volumes {
			if other.Origin == from {
				other.Origin = to
			}
			if other.Pool == from {
				other.Pool = to
			}
			if part, ok := strings.CutPrefix(other.Name, from+"_t"); ok && other.Hidden {
				other.Name = to + "_t" + part
			}
		}
		v.Name = to
		return f.renameFile(vg, from, to)
	})
}

// ChangeTags is as for lvm.LVM.
func (f *Fake) ChangeTags(r lvm.ChangeTags) error {
	if err := r.Check(); err != nil {
		return err
	}
	if len(r.Add)+len(r.Remove) == 0 {
		return nil
	}
	return f.several("ChangeTags", r.VG, r.Names, func(g *group) error {
		return g.each("lvchange", r.Names, func(v *volume) error {
			kept := slices.DeleteFunc(slices.Clone(v.Tags), func(t string) bool { return slices.Contains(r.Remove, t) })
			v.Tags = normal(append(kept, r.Add...))
			return nil
		})
	})
}

// Flush is as for lvm.LVM.
func (f *Fake) Flush(vg string) error {
	if err := lvm.CheckGroup(vg); err != nil {
		return err
	}
	lock := f.lock(vg)
	lock.Lock()
	defer lock.Unlock()
	return f.begin("Flush")
}

// several is an operation on many volumes; on none it does nothing.
func (f *Fake) several(op, vg string, lvs []string, act func(*group) error) error {
	if err := lvm.CheckGroup(vg); err != nil {
		return err
	}
	for _, lv := range lvs {
		if err := lvm.CheckVolume(vg, lv); err != nil {
			return err
		}
	}
	if len(lvs) == 0 {
		return nil
	}
	return f.mutate(op, vg, func() error {
		g, err := f.writable("lvm", vg)
		if err != nil {
			return err
		}
		return act(g)
	})
}

// each does what it can, as LVM does, and returns the first error.
func (g *group) each(command string, lvs []string, act func(*volume) error) error {
	var missing []string
	var first error
	for _, lv := range lvs {
		v := g.volume(lv)
		if v == nil {
			missing = append(missing, lv)
			continue
		}
		if err := act(v); err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	return notFound(command, g.name, missing)
}

func notFound(command, vg string, missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	return failure(command, "Failed to find logical volume %q", vg+"/"+missing[0])
}

func (f *Fake) find(command, vg, lv string) (*group, *volume, error) {
	g, err := f.writable(command, vg)
	if err != nil {
		return nil, nil, err
	}
	v := g.volume(lv)
	if v == nil {
		return nil, nil, notFound(command, vg, []string{lv})
	}
	return g, v, nil
}

func (f *Fake) file(vg, lv string) string { return filepath.Join(f.Dir, vg+"-"+lv) }

func (f *Fake) makeFile(vg, contents string, v *volume) error {
	if f.Dir == "" || v.Segment == lvm.ThinPool {
		return nil
	}
	to, err := os.Create(f.file(vg, v.Name))
	if err != nil {
		return fmt.Errorf("the fake's file: %w", err)
	}
	defer to.Close()
	if contents != "" {
		from, err := os.Open(f.file(vg, contents))
		if err != nil {
			return fmt.Errorf("the fake's file: %w", err)
		}
		defer from.Close()
		if _, err := io.Copy(to, from); err != nil {
			return fmt.Errorf("the fake's file: %w", err)
		}
	}
	return to.Truncate(int64(v.Size))
}

func (f *Fake) resizeFile(vg string, v *volume) error {
	if f.Dir == "" {
		return nil
	}
	return os.Truncate(f.file(vg, v.Name), int64(v.Size))
}

func (f *Fake) renameFile(vg, from, to string) error {
	if f.Dir == "" {
		return nil
	}
	return os.Rename(f.file(vg, from), f.file(vg, to))
}

func (f *Fake) removeFile(vg string, v *volume) {
	if f.Dir != "" && !v.Hidden && v.Segment != lvm.ThinPool {
		_ = os.Remove(f.file(vg, v.Name)) // a test may have taken it away
	}
}
