package lvm_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// both is real LVM whose every report is made twice, natively and by LVM, and must be the same.
type both struct {
	*lvm.LVM
	t *testing.T
}

func (b both) Report(ctx context.Context) (lvm.Report, error) {
	b.t.Helper()
	compare(b.t, b.LVM)
	return b.LVM.Report(ctx)
}

// compare says whether a native report could be made.
func compare(t *testing.T, l *lvm.LVM) (vouched bool) {
	t.Helper()
	native, err := l.Read()
	if err != nil {
		t.Logf("not read natively: %v", err)
		return false
	}
	asked, err := l.Ask()
	if err != nil {
		t.Fatalf("LVM's own report: %v", err)
	}
	for _, difference := range differences(native, asked) {
		t.Errorf("the native report differs from LVM's: %s", difference)
	}
	return true
}

// differences of a native report, which has exact figures, and one of LVM, which has percentages.
func differences(native, asked lvm.Report) []string {
	d := diff{}
	d.same("unused", pvs(native.Unused), pvs(asked.Unused))
	d.same("groups", len(native.VolumeGroups), len(asked.VolumeGroups))
	for _, want := range asked.VolumeGroups {
		got, _ := native.VolumeGroup(want.Name)
		d.same(want.Name+": physical volumes", pvs(got.PVs), pvs(want.PVs))
		d.same(want.Name+": volumes", len(got.LVs), len(want.LVs))
		for _, w := range want.LVs {
			g, _ := got.LV(w.Name)
			d.near(w.Name+": mapped", g.Mapped, w.Mapped, w.Size)
			d.near(w.Name+": metadata used", g.MetadataUsed, w.MetadataUsed, w.MetadataSize)
			if g.Stale {
				d = append(d, w.Name+" is stale")
			}
			g.Mapped, g.MetadataUsed, w.Mapped, w.MetadataUsed = 0, 0, 0, 0
			g.Tags, w.Tags = text(g.Tags), text(w.Tags)
			d.same(w.Name, g, w)
		}
		got.PVs, got.LVs, want.PVs, want.LVs = nil, nil, nil, nil
		got.Tags, want.Tags = text(got.Tags), text(want.Tags)
		d.same(want.Name, got, want)
	}
	return d
}

type diff []string

func (d *diff) same(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		*d = append(*d, fmt.Sprintf("%s: %+v, LVM has %+v", what, got, want))
	}
}

func (d *diff) near(what string, got, want, whole lvm.Bytes) {
	if tolerance := whole/10000 + 1; got < want-tolerance || got > want+tolerance {
		*d = append(*d, fmt.Sprintf("%s: %d, LVM has %d of %d", what, got, want, whole))
	}
}

func pvs(list []lvm.PhysicalVolume) []lvm.PhysicalVolume {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b lvm.PhysicalVolume) int { return strings.Compare(a.Device, b.Device) })
	for i := range list {
		list[i].Tags = text(list[i].Tags)
	}
	return list[:len(list):len(list)]
}

// text is a list in which none and an empty one are the same.
func text(list []string) []string { return append([]string{}, list...) }

func TestNativeReportIsLVMs(t *testing.T) {
	unsure := []string{"missing", "duplicate"}
	for name, build := range scenarios {
		t.Run(name, func(t *testing.T) {
			r := start(t, lvm.Options{ConfigDir: t.TempDir()})
			build(r)
			if vouched := compare(t, r.l); vouched == slices.Contains(unsure, name) {
				t.Errorf("read natively: %v", vouched)
			}
		})
	}
}
