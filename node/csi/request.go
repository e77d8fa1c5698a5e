package csi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// Parameters of a StorageClass that are ours; the others are what external-provisioner adds with --extra-create-metadata.
const (
	paramPool        = "pool"
	paramMakeOptions = "mkfsOptions"
	paramPlacement   = "placement" // the scheduler extender's
	metadata         = "csi.storage.k8s.io/"
	paramClaim       = metadata + "pvc/name"
	paramNamespace   = metadata + "pvc/namespace"
)

var (
	volumeParams   = []string{paramPool, paramMakeOptions, paramPlacement, metadata + "fstype", paramClaim, paramNamespace, metadata + "pv/name"}
	contextKeys    = []string{paramPool, "storage.kubernetes.io/csiProvisionerIdentity"}
	snapshotParams = []string{metadata + "volumesnapshot/name", metadata + "volumesnapshot/namespace", metadata + "volumesnapshotcontent/name"}
)

// maxName bounds names: CSI's 128 bytes (spec, "Size Limits"), which is also what a tag has room for.
const maxName = 128

// checkName refuses a name that is absent or too long.
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return invalid("name", "expected 1 to %d bytes, got %d", maxName, len(name))
	}
	return nil
}

// checkParameters refuses a parameter that nobody would act on.
func checkParameters(field string, given map[string]string, known []string) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, key) {
			return invalid(fmt.Sprintf("%s[%.80q]", field, key), "unknown; expected one of %s", strings.Join(known, ", "))
		}
	}
	return nil
}

// present refuses empty fields, given as name, value, name, value, …: before anything is looked up.
func present(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return invalid(pairs[i], "missing")
		}
	}
	return nil
}

// localID parses the ID of a volume or snapshot that is on this node.
func (d *Driver) localID(field, s string) (volume.ID, error) {
	if err := present(field, s); err != nil {
		return volume.ID{}, err
	}
	id, err := volume.ParseID(s)
	if err != nil {
		return volume.ID{}, refuse(codes.NotFound, "%s: %v", field, err)
	}
	if id.Node != d.Node {
		return volume.ID{}, refuse(codes.NotFound, "%s: %s is on node %s, and this is node %s", field, s, id.Node, d.Node)
	}
	return id, nil
}

// sizes parses a capacity range.
func sizes(r *csi.CapacityRange) (pool.Range, error) {
	want := pool.Range{Required: lvm.Bytes(r.GetRequiredBytes()), Limit: lvm.Bytes(r.GetLimitBytes())}
	switch {
	case want.Required < 0:
		return pool.Range{}, invalid("capacity_range.required_bytes", "must not be negative, is %d", int64(want.Required))
	case want.Limit < 0:
		return pool.Range{}, invalid("capacity_range.limit_bytes", "must not be negative, is %d", int64(want.Limit))
	case want.Limit > 0 && want.Limit < want.Required:
		return pool.Range{}, invalid("capacity_range.limit_bytes", "must be at least required_bytes (%d), is %d", int64(want.Required), int64(want.Limit))
	}
	return want, nil
}

// access is how a volume is to be used.
type access struct {
	fs           filesystem.Type // "" for a raw block volume
	options      filesystem.Options
	readOnly     bool // by its access mode
	singleWriter bool // one target at a time
}

// parseAccess parses one volume capability, whose place in the request is field.
func parseAccess(field string, c *csi.VolumeCapability) (access, error) {
	var a access
	if c == nil {
		return a, invalid(field, "missing")
	}
	switch mode := c.GetAccessMode().GetMode(); mode {
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER:
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
		a.readOnly = true
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER:
		a.singleWriter = true
	default:
		return a, invalid(field+".access_mode", "%v is not possible: a local volume is used on one node; expected a SINGLE_NODE_* mode (ReadWriteOnce or ReadWriteOncePod)", mode)
	}
	switch kind := c.GetAccessType().(type) {
	case *csi.VolumeCapability_Block:
		return a, nil
	case *csi.VolumeCapability_Mount:
		return a, a.parseMount(field+".mount", kind.Mount)
	}
	return a, invalid(field+".access_type", "expected block or mount")
}

func (a *access) parseMount(field string, m *csi.VolumeCapability_MountVolume) error {
	var err error
	if a.fs, err = filesystem.ParseType(m.GetFsType()); err != nil {
		return invalid(field+".fs_type", "%v", err)
	}
	if m.GetVolumeMountGroup() != "" {
		return invalid(field+".volume_mount_group", "not supported: the orchestrator sets the group (fsGroupPolicy File)")
	}
	if a.options, err = filesystem.ParseOptions(a.fs, m.GetMountFlags()); err != nil {
		return invalid(field+".mount_flags", "%v", err)
	}
	return nil
}

// parseAccesses parses the capabilities of a volume, which must agree on what is on it.
func parseAccesses(all []*csi.VolumeCapability) (access, error) {
	if len(all) == 0 {
		return access{}, invalid("volume_capabilities", "missing")
	}
	var first access
	for i, c := range all {
		a, err := parseAccess(fmt.Sprintf("volume_capabilities[%d]", i), c)
		if err != nil {
			return access{}, err
		}
		if i == 0 {
			first = a
		}
		if a.fs != first.fs {
			return access{}, invalid(fmt.Sprintf("volume_capabilities[%d]", i), "asks for %s, and the first for %s: a volume holds one", contents(a.fs), contents(first.fs))
		}
	}
	return first, nil
}

// contents says in words what is on a volume.
func contents[T ~string](fs T) string {
	if fs == "" {
		return "raw block"
	}
	return string(fs)
}
