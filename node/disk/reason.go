package disk

import (
	"errors"
	"fmt"
	"strings"
)

// reasons grow in the order in which they are checked.
type reasons []string

func (r *reasons) add(applies bool, format string, args ...any) {
	if applies {
		*r = append(*r, fmt.Sprintf(format, args...))
	}
}

// use says what of a disk, other than what it holds, keeps it from being claimed: what it is, and who uses it.
func use(d Inspected) reasons {
	r := wholeUse(d)
	r.add(len(d.Partitions) > 0 || d.Signature.PartitionTable != "", "%s", partitioned(d))
	r.add(errors.Is(d.Err, ErrSilent), "%v", d.Err)
	r.add(d.Err != nil && !errors.Is(d.Err, ErrSilent), "cannot be examined: %v", d.Err)
	r.add(d.Held, "held open exclusively by a program, or mounted where the agent cannot see it")
	return r
}

// wholeUse is the use of a disk that keeps its partitions from being claimed, too.
func wholeUse(d Inspected) reasons {
	var r reasons
	r.add(d.Kind == Mapped, "a device-mapper device of unknown purpose")
	r.add(d.ReadOnly, "read-only")
	r.add(len(d.Mounts) > 0, "mounted at %s", strings.Join(d.Mounts, " and "))
	r.add(d.Swap, "used as swap")
	r.add(len(d.Holders) > 0, "%s", held(d.Holders))
	return r
}

func held(holders []Holder) string {
	var names []string
	for _, h := range holders {
		switch h.Kind {
		case Multipath:
			return "a path of multipath device " + h.Name
		case LV:
			names = append(names, "logical volume "+h.Name)
		default:
			names = append(names, h.Name)
		}
	}
	if n := len(names); n > 3 {
		names = append(names[:2], fmt.Sprintf("%d more", n-2))
	}
	return "in use by " + strings.Join(names, " and ")
}

func partitioned(d Inspected) string {
	var words []string
	if d.Signature.PartitionTable != "" {
		words = append(words, d.Signature.PartitionTable)
	}
	switch n := len(d.Partitions); n {
	case 0:
		words = append(words, "no partitions")
	case 1:
		words = append(words, "1 partition")
	default:
		words = append(words, fmt.Sprintf("%d partitions", n))
	}
	return "partitioned (" + strings.Join(words, ", ") + ")"
}

// contents says what is on a disk that is not blank; a disk that could not be examined, or has a partition table and
// nothing else, has had its reason before.
func contents(d Inspected) []string {
	s := d.Signature
	if d.Unfinished {
		return nil
	}
	if found := formats(d); len(found) > 0 || d.Err != nil || s.Blank || s.PartitionTable != "" {
		return found
	}
	return []string{"holds " + s.String()}
}

// formats says what known formats are on a disk, partition tables aside.
func formats(d Inspected) []string {
	s := d.Signature
	switch s.Type {
	case physicalVolume:
		return []string{"holds an LVM physical volume"}
	case "linux_raid_member":
		return []string{"a member of an md RAID"}
	case "mpath_member":
		return []string{"a path of a multipath device"}
	case "zfs_member":
		return []string{labelled("a member of a ZFS pool", s.Label)}
	case "swap":
		return []string{labelled("holds swap space", s.Label)}
	case "crypto_LUKS":
		return []string{labelled("holds a LUKS encrypted volume", s.Label)}
	}
	switch {
	case s.Type != "" && s.Usage == "filesystem":
		return []string{"holds " + article(s.Type) + " " + s.String()}
	case s.Type != "" || s.Ambivalent:
		return []string{"holds " + s.String()}
	}
	return nil
}

func labelled(what, label string) string {
	if label == "" {
		return what
	}
	return fmt.Sprintf("%s labelled %q", what, label)
}

// article goes by how the names of file systems are spoken: an ext4, an xfs, a btrfs.
func article(name string) string {
	if strings.ContainsAny(name[:1], "aeiox") {
		return "an"
	}
	return "a"
}
