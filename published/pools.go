package published

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/loam-storage/loam/lvm"
)

// Annotation is the key of the annotation of a CSIStorageCapacity that has Pools in it.
const Annotation = "loam.storage/room"

// maxPools bounds what is read; a node's configuration has a handful.
const maxPools = 64

// Pools says of each pool that a StorageClass may get volumes from, by its name, what it could give at one moment.
type Pools map[string]Pool

// Pool is one of them.
type Pool struct {
	Available lvm.Bytes `json:"available"` // not rounded
	Extent    lvm.Bytes `json:"extent"`    // what sizes of volumes are rounded up to
	Volumes   Volumes   `json:"volumes"`   // those that Available has counted
}

// Volumes are keys in ascending order.
type Volumes []uint32

// Key stands for the logical volume of that name among those of one pool. Of a thousand volumes there, one is taken for
// another with a probability of one in four million, and then one claim may be refused by its node and placed again.
func Key(lv string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(lv))
	return h.Sum32()
}

// Of are the keys of those logical volumes.
func Of(lvs []string) Volumes {
	keys := make(Volumes, 0, len(lvs))
	for _, lv := range lvs {
		keys = append(keys, Key(lv))
	}
	slices.Sort(keys)
	return keys
}

// Has says whether a volume with that key is among them.
func (v Volumes) Has(key uint32) bool {
	_, found := slices.BinarySearch(v, key)
	return found
}

// MarshalText writes four bytes for each key, in base64.
func (v Volumes) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(v))
	for _, key := range v {
		raw = binary.BigEndian.AppendUint32(raw, key)
	}
	return base64.RawStdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads what MarshalText wrote.
func (v *Volumes) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return err
	}
	if len(raw)%4 != 0 {
		return fmt.Errorf("%d bytes are no whole number of keys", len(raw))
	}
	*v = make(Volumes, 0, len(raw)/4)
	for at := 0; at < len(raw); at += 4 {
		*v = append(*v, binary.BigEndian.Uint32(raw[at:]))
	}
	if !slices.IsSorted(*v) {
		return errors.New("keys are not in order")
	}
	return nil
}

// String is the annotation's value; the same pools give the same text.
func (p Pools) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings, integers and text: nothing there can fail
	}
	return string(text)
}

// Parse reads an annotation's value.
func Parse(text string) (Pools, error) {
	var p Pools
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", Annotation, err)
	}
	if len(p) == 0 || len(p) > maxPools {
		return nil, fmt.Errorf("annotation %s: %d pools, expected 1 to %d", Annotation, len(p), maxPools)
	}
	for name, pool := range p {
		if name == "" || pool.Available < 0 || pool.Extent < 0 || pool.Extent > lvm.GiB<<10 {
			return nil, fmt.Errorf("annotation %s: pool %.80q cannot have %d bytes in extents of %d", Annotation, name, int64(pool.Available), int64(pool.Extent))
		}
	}
	return p, nil
}
