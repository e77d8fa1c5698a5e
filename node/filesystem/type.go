package filesystem

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/loam-storage/loam/lvm"
)

// Type is a kind of file system; "" stands for none, a raw block volume.
type Type string

// The types.
const (
	Ext4 Type = "ext4"
	XFS  Type = "xfs"
)

// ErrType says that a text is not the name of a type.
var ErrType = errors.New("unknown file system")

// ParseType reads a type's name; an empty one is ext4.
func ParseType(s string) (Type, error) {
	switch t := Type(s); t {
	case "":
		return Ext4, nil
	case Ext4, XFS:
		return t, nil
	}
	return "", fmt.Errorf("%w: expected ext4 or xfs, got %.40q", ErrType, s)
}

// MinimumSize is the smallest device on which a file system of that type is made: mkfs.xfs refuses less than 300 MB
// since version 5.19, and ext4 needs room for a journal.
func MinimumSize(t Type) lvm.Bytes {
	switch t {
	case Ext4:
		return 16 * lvm.MiB
	case XFS:
		return 300 * lvm.MiB
	}
	return 0
}

// UUID derives the UUID of a volume's file system from the volume's name (RFC 9562, version 8), so that a retry
// recognises what it made.
func UUID(name string) string {
	sum := sha256.Sum256([]byte("loam.storage/" + name))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
