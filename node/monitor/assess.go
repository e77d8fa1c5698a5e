package monitor

import (
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
)

// Kind is what is wrong, in one word: the reason of an event.
type Kind string

// The kinds.
const (
	DataNearlyFull          Kind = "DataNearlyFull"
	MetadataNearlyFull      Kind = "MetadataNearlyFull"
	GroupMetadataNearlyFull Kind = "GroupMetadataNearlyFull"
	OutOfData               Kind = "OutOfData"
	ReadOnly                Kind = "PoolReadOnly"
	NeedsCheck              Kind = "PoolNeedsCheck"
	Failed                  Kind = "PoolFailed"
	Suspended               Kind = "Suspended"
	DeviceMissing           Kind = "DeviceMissing"
	DeviceSilent            Kind = "DeviceSilent"
	NotExtended             Kind = "PoolNotExtended"
	Unsettled               Kind = "PoolUnsettled"
	NotBackedUp             Kind = "MetadataNotBackedUp"
	FileSystemFailed        Kind = "FileSystemFailed"
)

// Condition is something about a pool that a person should know.
type Condition struct {
	Pool    string
	Kind    Kind
	Message string // a sentence or two, with what to do; the same as long as nothing important changes
	Level   int    // percent, of those that are about how full something is
}

// Plan is what follows from the state of a pool.
type Plan struct {
	Conditions []Condition
	Extend     *lvm.ExtendPool // what to ask LVM for, if anything
	Tight      bool            // space is short and no more of it is to be had: file systems should give back what they do not use
	Close      bool            // the pool is near one of its thresholds, or past it: look again soon
}

// Nearly is how full something is, in percent, when it is told that it cannot grow. step is by how much of the whole the figure
// in a message moves, and slack by how much something has to get better
// before it is no longer told, both in percent: a message that changes all the time is not read.
const (
	Nearly = 80
	step   = 5
	slack  = 2
	soon   = 5 // how near to a threshold is close
)

// Before is what of the past counts.
type Before struct {
	Conditions []Condition
	Ahead      lvm.Bytes // what writers of the pool are expected to take before anything can be done about it
}

// Assess decides what to do about a pool, and what to tell.
func Assess(c config.Pool, vg lvm.VolumeGroup, before Before) Plan {
	a := assessment{config: c, vg: vg, before: before}
	a.group()
	if lv, ok := pool.ThinPool(vg); ok && c.Type == config.Thin {
		a.thin(lv)
	}
	return a.plan
}

type assessment struct {
	config config.Pool
	vg     lvm.VolumeGroup
	before Before
	plan   Plan

	room, metadataRoom lvm.Bytes // by which the thin pool's data and metadata could be extended now
}

func (a *assessment) tell(k Kind, format string, args ...any) {
	a.plan.Conditions = append(a.plan.Conditions, Condition{Pool: a.config.Name, Kind: k, Message: fmt.Sprintf(format, args...)})
}

// tellLevel is tell of how full something is.
func (a *assessment) tellLevel(k Kind, level int, format string, args ...any) {
	a.tell(k, format, args...)
	a.plan.Conditions[len(a.plan.Conditions)-1].Level = level
}

// group looks at what does not depend on the type of the pool.
func (a *assessment) group() {
	switch {
	case a.vg.Silent():
		a.tell(DeviceSilent, "%d of the %d physical volumes of volume group %s do not answer: whoever reads or writes its volumes waits, and nothing is changed. "+
			"Look for the disk's resets and timeouts in the kernel's log; all goes on by itself when it answers again", a.vg.MissingPVs, len(a.vg.PVs), a.vg.Name)
	case a.vg.MissingPVs > 0 && a.vg.MissingPVs == len(a.vg.PVs):
		a.tell(DeviceMissing, "none of the physical volumes of volume group %s is to be seen: its volumes return errors and nothing is changed. "+
			"Bring the disks back; if they are there and not recognised, see `loam pool restore-metadata %s --dry-run`", a.vg.Name, a.config.Name)
	case a.vg.MissingPVs > 0:
		a.tell(DeviceMissing, "volume group %s misses %d of its %d physical volumes: volumes on them are not whole and nothing is changed. "+
			"Bring the disk back; if it is there and not recognised, see `loam pool restore-metadata %s --dry-run`; if it is lost, `vgreduce --removemissing %s`",
			a.vg.Name, a.vg.MissingPVs, len(a.vg.PVs), a.config.Name, a.vg.Name)
	}
	// A text of the metadata may take half of its area, and it counts as full where no volume is admitted any more.
	most := a.vg.MetadataSize/2 - pool.LeastMetadata
	if level, told := a.level(GroupMetadataNearlyFull, min(a.vg.MetadataSize/2-a.vg.MetadataFree, most), most, 90); told && a.vg.MetadataSize > 0 {
		a.tellLevel(GroupMetadataNearlyFull, level, "the metadata area of volume group %s is at least %d %% full: no more than some volumes can be added. "+
			"Delete snapshots or volumes; LVM cannot enlarge it", a.vg.Name, level)
	}
	for _, lv := range a.vg.LVs {
		if lv.Suspended && lv.Segment != lvm.ThinPool {
			a.tell(Suspended, "%s/%s is suspended: whoever uses it waits. If no lvm command is at work, `vgchange --refresh %s` resumes it", a.vg.Name, lv.Name, a.vg.Name)
			break // one is enough to know
		}
	}
}

// checking activates a pool and takes the kernel's mark off it, unless thin_check(8) finds damage; Debian's LVM leaves the mark.
const checking = `lvchange -ay --config 'global{thin_check_options=["-q","--clear-needs-check-flag"]}'`

func (a *assessment) thin(lv lvm.LogicalVolume) {
	name := a.vg.Name + "/" + lv.Name
	switch {
	case lv.Suspended:
		a.tell(Suspended, "thin pool %s is suspended: all of its volumes wait. If no lvm command is at work, `vgchange --refresh %s` resumes it", name, a.vg.Name)
	case lv.Health == lvm.NeedsCheck:
		a.tell(NeedsCheck, "the metadata of thin pool %s must be checked before it can be written again. "+
			"Stop the pods that use it and the agent, `vgchange -an %s`, `lvconvert --repair %s`, and `%s %s`, which clears the mark if all is well; then start the agent",
			name, a.vg.Name, name, checking, name)
		return
	case lv.Health == lvm.Failed:
		a.tell(Failed, "thin pool %s has failed: its volumes return errors. Look for errors of its disks in the kernel's log; "+
			"then, without pods and the agent, `vgchange -an %s`, `lvconvert --repair %s` and `%s %s`", name, a.vg.Name, name, checking, name)
		return
	case lv.Health == lvm.MetadataReadOnly:
		a.tell(ReadOnly, "thin pool %s cannot be written, as its metadata is full or was damaged. It is extended if there is room; `lvs -a %s` tells more", name, a.vg.Name)
	case lv.Health == lvm.OutOfData:
		a.tell(OutOfData, "thin pool %s is full: whoever writes to what is not yet allocated gets an error. Add a disk, or delete volumes or snapshots", name)
	}
	if lv.Pending {
		a.tell(Unsettled, "thin pool %s is not at the transaction that its metadata say, so that no volume can be made, and it is not clear what is right. "+
			"The agent's log has both numbers; `vgcfgbackup %s` before anything is done about it", name, a.vg.Name)
	}
	if !lv.Active || a.vg.MissingPVs > 0 {
		return
	}
	a.extend(lv)
	a.full(lv)
}

// leastStep is what the data of a pool grow by at least: a part of a small pool is written full in no time.
const leastStep = lvm.GiB

// extend plans growth of the data at the threshold from what of the group is not reserved, and of the metadata from all of it:
// a pool without metadata serves nobody. Each extension suspends the pool, so that there should be few.
func (a *assessment) extend(lv lvm.LogicalVolume) {
	at, by := a.config.Thin.Extend.At, a.config.Thin.Extend.By
	stripe := a.vg.ExtentSize * lvm.Bytes(max(1, lv.Stripes))
	want := lvm.ExtendPool{VG: a.vg.Name, Name: lv.Name}
	free := a.vg.Free
	// As much again, and as much for its spare.
	a.metadataRoom = min(lv.MetadataSize, pool.MostMetadata-lv.MetadataSize, free/2).RoundDown(a.vg.ExtentSize)
	if a.metadataRoom > 0 && lv.MetadataUsed >= at.Of(lv.MetadataSize) {
		want.MetadataSize = lv.MetadataSize + a.metadataRoom
		free -= 2 * a.metadataRoom
	}
	a.room = min(max(by.Of(lv.Size), a.before.Ahead, leastStep), free-a.config.Reserve.Of(a.vg.Size)).RoundDown(stripe)
	if a.room > 0 && lv.Mapped+a.before.Ahead >= at.Of(lv.Size) {
		want.Size = lv.Size + a.room
	}
	if want.Size > 0 || want.MetadataSize > 0 {
		a.plan.Extend = &want
	}
}

// full tells of what is nearly full and cannot be extended.
func (a *assessment) full(lv lvm.LogicalVolume) {
	at, name := a.config.Thin.Extend.At, a.vg.Name+"/"+lv.Name
	if level, told := a.level(DataNearlyFull, lv.Mapped, lv.Size, Nearly); told && a.room <= 0 {
		a.plan.Tight = true
		if lv.Health != lvm.OutOfData {
			a.tellLevel(DataNearlyFull, level, "the data of thin pool %s is at least %d %% full, and volume group %s has no room to extend it%s. "+
				"Add a disk, or delete volumes or snapshots", name, level, a.vg.Name, a.stopped(lv.Mapped, lv.Size))
		}
	}
	if level, told := a.level(MetadataNearlyFull, lv.MetadataUsed, lv.MetadataSize, Nearly); told && a.metadataRoom <= 0 {
		a.tellLevel(MetadataNearlyFull, level, "the metadata of thin pool %s is at least %d %% full, and volume group %s has no room to extend it%s. "+
			"Add a disk, or delete snapshots", name, level, a.vg.Name, a.stopped(lv.MetadataUsed, lv.MetadataSize))
	}
	near := func(used, whole lvm.Bytes) bool { return used >= at.Of(whole)-whole*soon/100 }
	a.plan.Close = near(lv.Mapped, lv.Size) || near(lv.MetadataUsed, lv.MetadataSize)
}

func (a *assessment) stopped(used, whole lvm.Bytes) string {
	if used >= a.config.Thin.StopAt.Of(whole) {
		return "; no volume is made or grown any more (stopAt)"
	}
	return ""
}

// level is how full something is, rounded down to what is told, and whether to tell: from least percent on. A level that
// was told stays until it is slack below.
func (a *assessment) level(k Kind, used, whole lvm.Bytes, least int) (percent int, told bool) {
	if whole <= 0 {
		return 0, false
	}
	full := int(100 * float64(used) / float64(whole))
	if had := a.had(k); full < had && full >= had-slack {
		return had, true
	}
	return max(least, full/step*step), full >= least
}

// had is the level that was told before; 0 for none.
func (a *assessment) had(k Kind) int {
	for _, c := range a.before.Conditions {
		if c.Pool == a.config.Name && c.Kind == k {
			return c.Level
		}
	}
	return 0
}
