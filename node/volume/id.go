package volume

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Longest names: a node's is also the value of a topology label, and CSI bounds an ID to 128 bytes (spec, "Size
// Limits"), so that 64 are left for the logical volume.
const (
	maxNode = 63
	maxLV   = 64
)

// ErrID says that a text is not an ID that Loam could have made.
var ErrID = errors.New("not a volume ID of Loam, which is <node>/<logical volume>")

// ErrNode says that a node's name cannot be part of an ID or the value of a topology label.
var ErrNode = errors.New("node name must be 1 to 63 characters: letters, digits, '-', '_' or '.', beginning and ending with a letter or digit; choose one with --node-id")

var (
	nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$`)
	lvName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.+-]*$`)
)

// ID names a volume or a snapshot in the cluster: "<node>/<logical volume>".
type ID struct {
	Node string
	LV   string
}

// String is the form that CSI carries.
func (id ID) String() string { return id.Node + "/" + id.LV }

// ParseID reads an ID; anything but the exact form is ErrID.
func ParseID(s string) (ID, error) {
	node, lv, ok := strings.Cut(s, "/")
	if !ok || CheckNode(node) != nil || len(lv) > maxLV || !lvName.MatchString(lv) {
		return ID{}, fmt.Errorf("%.140q: %w", s, ErrID)
	}
	return ID{Node: node, LV: lv}, nil
}

// CheckNode returns ErrNode for a name that cannot stand in an ID.
func CheckNode(name string) error {
	if len(name) > maxNode || !nodeName.MatchString(name) {
		return fmt.Errorf("%.80q: %w", name, ErrNode)
	}
	return nil
}
