package disk

import (
	"fmt"
	"slices"
	"strings"
)

// State is what was decided on a disk.
type State string

// The states.
const (
	Taken   State = "taken"   // a physical volume of a pool's group
	Free    State = "free"    // may be taken by the pool that is named
	Refused State = "refused" // left as it is
)

// Verdict is what was decided on a disk, and why.
type Verdict struct {
	State State
	// Pool has the disk, may take it, or is the first whose devices.paths match it; "" when none matches.
	Pool        string
	VolumeGroup string // that the disk is a physical volume of, also a stranger's; "" for none
	// Unnamed is a disk that nothing is in the way of but the configuration, which does not name it.
	Unnamed bool
	// Reasons say why it is refused, each for itself; for a free disk, what one may want to know. In the order in which
	// they are checked: configuration, use, contents, group.
	Reasons []string
}

// Reason is all reasons as one sentence.
func (v Verdict) Reason() string { return join(v.Reasons) }

func join(reasons []string) string { return strings.Join(reasons, "; ") }

// Assess decides on every disk of the survey, in their order.
func Assess(s Survey) []Verdict {
	groups := Groups(s)
	verdicts := make([]Verdict, len(s.Disks))
	for i, d := range s.Disks {
		verdicts[i] = s.assess(d, groups)
	}
	return verdicts
}

func (s Survey) assess(d Inspected, groups []Group) Verdict {
	vg, isMember := s.member(d.Disk)
	ours := func(g Group) bool { return isMember && g.UUID == vg.UUID && g.Problem == "" }
	if i := slices.IndexFunc(groups, ours); i >= 0 {
		return Verdict{State: Taken, Pool: groups[i].Pool, VolumeGroup: vg.Name}
	}
	c := choose(s.Pools, s.Labels, d.Disk)
	v := Verdict{State: Refused, Pool: c.pool, VolumeGroup: vg.Name, Reasons: c.reasons}
	v.Reasons = append(v.Reasons, s.company(d)...)
	v.Reasons = append(v.Reasons, use(d)...)
	if d.isPhysicalVolume() && (isMember || !d.Unfinished || len(copies(s.Disks, d)) > 0) {
		v.Reasons = append(v.Reasons, s.whose(d))
	} else {
		v.Reasons = append(v.Reasons, contents(d)...)
	}
	for _, g := range groups {
		if c.takes && g.Pool == c.pool && g.Problem != "" {
			v.Reasons = append(v.Reasons, fmt.Sprintf("pool %s takes no disk: %s", g.Pool, g.Problem))
		}
	}
	if len(v.Reasons) > 0 {
		v.Unnamed = c.isAlone(v.Reasons)
		return v
	}
	v.State = Free
	if d.Unfinished {
		v.Reasons = append(v.Reasons, "holds nothing but what an interrupted command of LVM left")
	}
	if len(c.also) > 0 {
		v.Reasons = append(v.Reasons, fmt.Sprintf("pool %s comes before %s in the configuration", c.pool, strings.Join(c.also, " and ")))
	}
	return v
}

// company finds what the disks around one say against it: that of a partition, and those that are the same hardware.
func (s Survey) company(d Inspected) []string {
	var reasons []string
	for _, o := range s.Disks {
		if o.Path == d.Parent {
			for _, why := range append(wholeUse(o), formats(o)...) {
				reasons = append(reasons, fmt.Sprintf("on disk %s, %s", o.Path, why))
			}
		}
		if o.Path != d.Path && d.sameHardware(o.Disk) && len(d.Holders) == 0 {
			reasons = append(reasons, fmt.Sprintf("has the same WWN as %s: one disk on two paths, without multipath", o.Path))
		}
	}
	return reasons
}

// sameHardware says whether two whole disks are one, seen twice.
func (d Disk) sameHardware(o Disk) bool {
	return d.Kind == Whole && o.Kind == Whole && d.WWN != "" && d.WWN == o.WWN && d.Size == o.Size
}

// whose says whose physical volume it is, when it is none of ours.
func (s Survey) whose(d Inspected) string {
	if others := copies(s.Disks, d); len(others) > 0 {
		return fmt.Sprintf("carries the same LVM UUID as %s: one is a copy of the other (vgimportclone(8) gives a copy an identity of its own)",
			strings.Join(others, " and "))
	}
	vg, ok := s.member(d.Disk)
	if !ok {
		return "an LVM physical volume of no volume group that can be read (pvremove(8) makes one blank)"
	}
	if why := untouchable(vg); why != "" {
		return "LVM physical volume of volume group " + vg.Name + ", which " + why
	}
	return "LVM physical volume of volume group " + vg.Name
}
