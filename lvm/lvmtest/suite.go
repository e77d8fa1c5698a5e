package lvmtest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// LVM is what the suite tests: *lvm.LVM and *Fake.
type LVM interface {
	Report(ctx context.Context) (lvm.Report, error)
	Device(vg, lv string) (lvm.Device, error)
	Usage(vg, pool string) (lvm.Usage, error)
	SetDevices(paths []string)

	Heal(ctx context.Context, vg string) ([]lvm.Healed, error)

	CreateGroup(lvm.CreateGroup) error
	ExtendGroup(vg string, metadataSize lvm.Bytes, devices ...string) error
	Clear(vg string, devices ...string) error
	CreatePool(lvm.CreatePool) error
	ExtendPool(lvm.ExtendPool) error
	CreateThin(lvm.CreateThin) error
	CreateThick(lvm.CreateThick) error
	CreateSnapshot(lvm.CreateSnapshot) error
	Extend(vg, lv string, size lvm.Bytes) error
	Remove(vg string, lvs ...string) error
	Activate(vg string, lvs ...string) error
	Deactivate(vg string, lvs ...string) error
	Rename(vg, from, to string) error
	ChangeTags(lvm.ChangeTags) error
	Flush(vg string) error
}

var (
	_ LVM = (*lvm.LVM)(nil)
	_ LVM = (*Fake)(nil)
)

// Names that the suite uses. The dashes double in a device's name.
const (
	groupName = "loam-suite"
	poolName  = "thin-pool"
)

// SuiteDisks is how many disks the suite wants, each of at least SuiteDiskSize.
const (
	SuiteDisks    = 3
	SuiteDiskSize = 256 * lvm.MiB
)

// Run tests what holds for every implementation. open returns one that may look at the SuiteDisks blank devices that it
// returns too, and sees to it that they are blank again for the next test.
func Run(t *testing.T, open func(*testing.T) (LVM, []string)) {
	tests := []struct {
		name string
		test func(*suite)
	}{
		{"ReportOfBlankDevicesIsEmpty", reportOfBlankDevicesIsEmpty},
		{"ReportOfNoDevicesIsEmpty", reportOfNoDevicesIsEmpty},
		{"ReportEndsWithItsContext", reportEndsWithItsContext},
		{"GroupIsMadeAsAsked", groupIsMadeAsAsked},
		{"GroupGrowsByDevices", groupGrowsByDevices},
		{"GroupIsMadeOfAllowedBlankDevicesOnly", groupIsMadeOfAllowedBlankDevicesOnly},
		{"GroupThatDoesNotExistLeavesPhysicalVolumes", groupThatDoesNotExistLeavesPhysicalVolumes},
		{"PhysicalVolumesAreCleared", physicalVolumesAreCleared},
		{"PoolIsMadeAsAsked", poolIsMadeAsAsked},
		{"PoolIsStriped", poolIsStriped},
		{"PoolGrows", poolGrows},
		{"PoolIsRemovedWithItsVolumes", poolIsRemovedWithItsVolumes},
		{"ThinVolumeIsFreshAndActive", thinVolumeIsFreshAndActive},
		{"ThickVolumeIsMadeAsAsked", thickVolumeIsMadeAsAsked},
		{"ThickVolumeIsStriped", thickVolumeIsStriped},
		{"SnapshotIsReadOnlyAndInactive", snapshotIsReadOnlyAndInactive},
		{"CloneOfSnapshotIsWritable", cloneOfSnapshotIsWritable},
		{"SnapshotOfInactiveVolume", snapshotOfInactiveVolume},
		{"SnapshotOutlivesItsOrigin", snapshotOutlivesItsOrigin},
		{"ExtendWorksActiveAndInactive", extendWorksActiveAndInactive},
		{"ManyAreActivatedAndDeactivated", manyAreActivatedAndDeactivated},
		{"ManyAreRemoved", manyAreRemoved},
		{"RemoveOfUnknownRemovesTheOthers", removeOfUnknownRemovesTheOthers},
		{"VolumesAreRenamed", volumesAreRenamed},
		{"TagsAreChanged", tagsAreChanged},
		{"Refusals", refusals},
		{"LongestNamesWork", longestNamesWork},
		{"ManyCreateAtOnce", manyCreateAtOnce},
		{"PathsThatDoNotExistAreIgnored", pathsThatDoNotExistAreIgnored},
		{"DevicesThatAreNotAllowedAreMissing", devicesThatAreNotAllowedAreMissing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, devices := open(t)
			if len(devices) < SuiteDisks {
				t.Fatalf("the suite wants %d devices, got %v", SuiteDisks, devices)
			}
			test.test(&suite{T: t, l: l, devices: devices})
		})
	}
}

// suite is one test with what it stands on.
type suite struct {
	*testing.T
	l       LVM
	devices []string
}

// must ends the test on an error.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) report() lvm.Report {
	s.Helper()
	r, err := s.l.Report(context.Background())
	s.must(err)
	return r
}

func (s *suite) vg() lvm.VolumeGroup {
	s.Helper()
	vg, ok := s.report().VolumeGroup(groupName)
	if !ok {
		s.Fatalf("the report has no volume group %s", groupName)
	}
	return vg
}

func (s *suite) lv(name string) lvm.LogicalVolume {
	s.Helper()
	lv, ok := s.vg().LV(name)
	if !ok {
		s.Fatalf("the report has no logical volume %s", name)
	}
	return lv
}

func (s *suite) device(name string) lvm.Device {
	s.Helper()
	d, err := s.l.Device(groupName, name)
	s.must(err)
	return d
}

// makeGroup makes the group of that many devices.
func (s *suite) makeGroup(devices int) {
	s.Helper()
	s.must(s.l.CreateGroup(lvm.CreateGroup{Name: groupName, Devices: s.devices[:devices]}))
}

// makePool makes a group and in it a pool of 100 MiB.
func (s *suite) makePool() {
	s.Helper()
	s.makeGroup(1)
	s.must(s.l.CreatePool(lvm.CreatePool{VG: groupName, Name: poolName, Size: 100 * lvm.MiB}))
}

func (s *suite) makeThin(names ...string) {
	s.Helper()
	for _, n := range names {
		s.must(s.l.CreateThin(lvm.CreateThin{VG: groupName, Pool: poolName, Name: n, Size: 40 * lvm.MiB}))
	}
}

func (s *suite) makeSnapshot(origin, name string, writable bool) {
	s.Helper()
	s.must(s.l.CreateSnapshot(lvm.CreateSnapshot{VG: groupName, Origin: origin, Name: name, Pool: poolName, Writable: writable}))
}

// attempts are what must fail, by what it is.
type attempts map[string]func() error

// refused fails the test when an attempt does not end in an error that is accepted, or changes anything that a report shows.
func (s *suite) refused(accept func(error) bool, all attempts) {
	s.Helper()
	before := s.report()
	for what, act := range all {
		if err := act(); err == nil || !accept(err) {
			s.Errorf("%s: the error is %v", what, err)
		}
	}
	if after := s.report(); !same(before, after) {
		s.Errorf("the report was\n%+v\nand is\n%+v", before, after)
	}
}

// byLVM accepts what LVM itself refused, told in one line.
func byLVM(err error) bool {
	e := new(lvm.CommandError)
	return errors.As(err, &e) && e.ExitCode > 0 && len(e.Args) > 0 && e.Stderr != "" && !strings.Contains(err.Error(), "\n")
}

func byName(err error) bool { return errors.Is(err, lvm.ErrName) }

func bySize(err error) bool { return errors.Is(err, lvm.ErrSize) }
