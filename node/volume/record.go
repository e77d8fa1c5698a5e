package volume

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/loam-storage/loam/lvm"
)

// Kind says what a logical volume of ours is.
type Kind string

// The kinds. A logical volume with none of these tags is not ours and is never touched.
const (
	Volume   Kind = "volume"
	Snapshot Kind = "snapshot"
	// Wiping is a deleted volume whose bytes are being zeroed before its extents are given back. It is told by its
	// LV's name, as renaming and tagging would be two commands.
	Wiping Kind = "wiping"
	// Bench is what `loam bench` made for itself and removes. It takes room and is no volume of anyone: Read does not know it.
	Bench Kind = "bench"
)

// Prefix begins every tag of ours.
const Prefix = "loam.storage/"

const (
	tagKind   = Prefix + "kind="
	tagName   = Prefix + "name="
	tagFS     = Prefix + "fs="
	tagSource = Prefix + "source="
	tagClaim  = Prefix + "pvc="
	tagMapped = Prefix + "mapped="
	tagPool   = Prefix + "pool="
	tagSize   = Prefix + "size="
)

// Record is what is remembered about a volume or snapshot besides what LVM knows by itself (size, pool, origin, time).
type Record struct {
	Kind  Kind
	Name  string // CSI's name for it
	FS    string // the file system made at creation; "" for a raw block volume
	Claim string // "namespace/name" of the PersistentVolumeClaim, where the orchestrator told

	// Source is the LV that a snapshot was taken of, or that a volume's content came from; "" for none.
	Source string

	// Size is what a copy is to have when it was asked for larger than its source, so that a retry finishes it; 0 else.
	Size lvm.Bytes

	// Mapped is what a snapshot held when it was taken, which is what it may cost its pool: it stays inactive and
	// read-only, so this never changes, and LVM reports nothing of an inactive volume.
	Mapped lvm.Bytes
}

// Tags are the record as LVM tags (lvm(8), "Valid names": letters, digits and _+.-/=!:&#).
func (r Record) Tags() []string {
	tags := []string{tagKind + string(r.Kind), tagName + escape(r.Name)}
	for _, t := range []struct{ key, value string }{{tagFS, r.FS}, {tagSource, r.Source}, {tagClaim, r.Claim}} {
		if t.value != "" {
			tags = append(tags, t.key+escape(t.value))
		}
	}
	if r.Size > 0 {
		tags = append(tags, tagSize+strconv.FormatInt(int64(r.Size), 10))
	}
	if r.Kind == Snapshot {
		tags = append(tags, tagMapped+strconv.FormatInt(int64(r.Mapped), 10))
	}
	return tags
}

// KindTag is the tag of logical volumes of that kind.
func KindTag(k Kind) string { return tagKind + string(k) }

// PoolTag marks a volume group and its thin pool as made for the pool of that name.
func PoolTag(pool string) string { return tagPool + escape(pool) }

// Read returns the record in a logical volume's tags; ok is false when the volume is not ours.
func Read(lv lvm.LogicalVolume) (r Record, ok bool) {
	for _, tag := range lv.Tags {
		key, value, found := strings.Cut(tag, "=")
		if !found {
			continue
		}
		switch key + "=" {
		case tagKind:
			r.Kind = Kind(value)
		case tagName:
			r.Name = unescape(value)
		case tagFS:
			r.FS = unescape(value)
		case tagSource:
			r.Source = unescape(value)
		case tagClaim:
			r.Claim = unescape(value)
		case tagSize:
			r.Size = number(value, 0)
		case tagMapped:
			r.Mapped = number(value, lv.Size) // unreadable: assume the worst
		}
	}
	switch r.Kind {
	case Volume:
		if strings.HasPrefix(lv.Name, wipingPrefix) {
			r.Kind = Wiping
		}
		return r, true
	case Snapshot:
		return r, true
	}
	return Record{}, false
}

func number(s string, otherwise lvm.Bytes) lvm.Bytes {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return otherwise
	}
	return lvm.Bytes(n)
}

// escape writes the bytes that a tag cannot carry as '&' and two hexadecimal digits.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_+.-/=!:#", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "&%02x", c)
	}
	return b.String()
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '&' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
