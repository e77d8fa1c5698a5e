// Package signature says what is on a block device, and never guesses: Read either could read the device and says what it
// found, or is an error. "Blank" is said only of a device whose head and tail were read and are nothing but zeroes.
package signature

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
)

// ErrUnreadable says that a device, or a part of it that matters, could not be read.
var ErrUnreadable = errors.New("unreadable")

// ends is how much is read at both ends of a device: every known format has its marks there, those that RAID keeps at the
// end included.
const ends = lvm.MiB

// reach is how far from either end blkid looks for marks: a LUKS header may be at 4 MiB (libblkid/src/superblocks/luks.c).
const reach = 4*lvm.MiB + 4*lvm.KiB

// Signature is what was found on a device.
type Signature struct {
	Blank          bool   // head and tail were read and hold nothing but zeroes
	Type           string // as blkid names it: ext4, xfs, LVM2_member, crypto_LUKS, linux_raid_member, swap, zfs_member, …
	Usage          string // filesystem, raid, crypto, other
	UUID, Label    string
	PartitionTable string   // gpt, dos, …
	Ambivalent     bool     // several formats claim the device
	Candidates     []string // which, when several do and wipefs could tell
	DataAt         int64    // the first byte of head and tail that is not zero; -1 for none
}

// String says it in words, to follow "holds".
func (s Signature) String() string {
	switch {
	case s.Ambivalent && len(s.Candidates) > 0:
		return "signatures of several formats (" + strings.Join(s.Candidates, ", ") + ")"
	case s.Ambivalent:
		return "signatures of several formats"
	case s.Type != "":
		name := s.Type + " " + map[string]string{"filesystem": "file system"}[s.Usage]
		if s.Label != "" {
			return fmt.Sprintf("%s labelled %q", strings.TrimSpace(name), s.Label)
		}
		return strings.TrimSpace(name)
	case s.PartitionTable != "":
		return "a partition table (" + s.PartitionTable + ")"
	case s.Blank:
		return "nothing"
	}
	return fmt.Sprintf("data at byte %d that no known format explains", s.DataAt)
}

// Read looks at a block device, or at a file that holds the image of one. A device that does not answer is waited for,
// whatever the context. Errors: ErrUnreadable.
func Read(ctx context.Context, path string) (Signature, error) {
	found, err := readEnds(path)
	if err != nil {
		return Signature{}, fmt.Errorf("%s: %w: %w", path, ErrUnreadable, err)
	}
	s, err := probe(ctx, path)
	if err != nil {
		return Signature{}, err
	}
	s.DataAt = found.dataAt()
	known := s.Ambivalent || s.Type != "" || s.PartitionTable != ""
	if !known && found.backupGPT() {
		s.PartitionTable, known = "gpt", true
	}
	s.Blank = !known && s.DataAt < 0
	if !known {
		_, err = Zero(path) // which reads all of it: or blkid may have found nothing because it could not
	}
	return s, err
}

// Zero reads all that blkid looks at, and says whether it is nothing but zeroes, in which blkid finds nothing: enough to know of a volume
// that Loam made itself, and no process. Errors: ErrUnreadable.
func Zero(path string) (bool, error) {
	zero, err := zero(path)
	if err != nil {
		return false, fmt.Errorf("%s: %w: %w", path, ErrUnreadable, err)
	}
	return zero, nil
}

func zero(path string) (bool, error) {
	d, err := device.Open(path)
	if err != nil {
		return false, err
	}
	defer d.Close()
	head, err := d.Zero(0, reach)
	if err != nil {
		return false, err
	}
	tail, err := d.Zero(d.Size-reach, d.Size)
	return head && tail, err
}

// content is what a device holds at both ends, which are the same bytes where it is small.
type content struct {
	head, tail []byte
	tailAt     int64
}

func readEnds(path string) (content, error) {
	d, err := device.Open(path)
	if err != nil {
		return content{}, err
	}
	defer d.Close()
	c := content{tailAt: int64(max(0, d.Size-ends))}
	if c.head, err = d.Read(0, ends); err != nil {
		return content{}, err
	}
	c.tail, err = d.Read(lvm.Bytes(c.tailAt), d.Size)
	return c, err
}

// dataAt is where the first byte is that is not zero; -1 for none.
func (c content) dataAt() int64 {
	if i := firstByte(c.head); i >= 0 {
		return i
	}
	if i := firstByte(c.tail); i >= 0 {
		return c.tailAt + i
	}
	return -1
}

func firstByte(b []byte) int64 {
	for i, c := range b {
		if c != 0 {
			return int64(i)
		}
	}
	return -1
}

// backupGPT says whether the copy of a GUID partition table is in the last sector (UEFI specification, 5.3.2), of 512 or of
// 4096 bytes. blkid looks for it only when the first sector has a protective MBR.
func (c content) backupGPT() bool {
	for _, sector := range []int{512, 4096} {
		if at := len(c.tail) - sector; at >= 0 && bytes.HasPrefix(c.tail[at:], []byte("EFI PART")) {
			return true
		}
	}
	return false
}
