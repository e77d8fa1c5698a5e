package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
)

func (a *app) volumeCommand() *cobra.Command {
	volume := group("volume", "Make, use and remove volumes and their snapshots", `Works on the volumes of this node.

A volume is named as it was created, or by its ID (node/logical-volume), or by its
PersistentVolumeClaim (namespace/name).`)
	a.clientFlags(volume)
	volume.AddCommand(
		a.volumeCreate(), a.volumeList(), a.volumeShow(), a.volumeExpand(), a.volumeSnapshot(), a.volumeRestore(), a.volumeClone(),
		a.volumeMount(), a.volumeUnmount(), a.volumeDelete(),
	)
	return volume
}

// find asks for the volume that a person means, which must be of one of those kinds.
func (g *agent) find(ctx context.Context, name string, kinds ...admin.Kind) (admin.Volume, error) {
	all, err := g.admin.Volumes(ctx)
	if err != nil {
		return admin.Volume{}, err
	}
	return pick(all, name, g.info.Node, kinds...)
}

// pick finds the volume that a person means: an ID names one, and anything else must not fit two. Without kinds, any
// will do.
func pick(all []admin.Volume, name, node string, kinds ...admin.Kind) (admin.Volume, error) {
	var fit []admin.Volume
	for _, v := range all {
		if v.ID == name {
			fit = []admin.Volume{v}
			break
		}
		if v.Name == name || v.LV == name || v.Claim == name && v.Kind == admin.KindVolume {
			fit = append(fit, v)
		}
	}
	wanted := only(fit, kinds...)
	switch {
	case len(wanted) == 1:
		return wanted[0], nil
	case len(wanted) > 1:
		return admin.Volume{}, refuse("%q can be %s: give the ID of one of them", name, strings.Join(ids(wanted), " or "))
	case len(fit) > 0:
		return admin.Volume{}, refuse("%s is a %s, and a %s is needed here", name, fit[0].Kind, kinds[0])
	case len(kinds) == 1 && kinds[0] == admin.KindSnapshot:
		return admin.Volume{}, notFound("node %s has no snapshot %q (`loam volume list --snapshots` shows those it has)", node, name)
	}
	return admin.Volume{}, notFound("node %s has no volume %q (`loam volume list` shows those it has)", node, name)
}

// only are the volumes of those kinds; all when none is given.
func only(all []admin.Volume, kinds ...admin.Kind) []admin.Volume {
	return slices.DeleteFunc(slices.Clone(all), func(v admin.Volume) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, v.Kind)
	})
}

func ids(all []admin.Volume) []string {
	found := make([]string, 0, len(all))
	for _, v := range all {
		found = append(found, v.ID)
	}
	return found
}

// contents says in words what is on a volume.
func contents(fs string) string {
	if fs == "" {
		return rawBlock
	}
	return fs
}

// rawBlock is a volume without a file system, in words; noFS is the same as a value of --fs.
const (
	rawBlock = "raw block"
	noFS     = "none"
)

// capability is how a volume with that file system is used here; "" is a raw block volume.
func capability(fs string, options ...string) *csi.VolumeCapability {
	c := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}
	if fs == "" {
		c.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		return c
	}
	c.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fs, MountFlags: options}}
	return c
}

func atLeast(size lvm.Bytes) *csi.CapacityRange {
	return &csi.CapacityRange{RequiredBytes: int64(size)}
}

// mounts are the mount points of a volume by who made them.
type mounts struct {
	staging string   // where `loam volume mount` stages it, whether it is there now or not
	staged  bool     // it is
	targets []string // where `loam volume mount` put it
	others  []string // a kubelet's, which are not to be touched from here
}

// mountsOf tells them apart by the paths that a kubelet uses (CSI volumes of pods, and its own staging).
func mountsOf(v admin.Volume, info admin.Info) mounts {
	m := mounts{staging: filepath.Join(stagingRoot(info), v.LV)}
	for _, path := range v.Mounts {
		switch {
		case path == m.staging:
			m.staged = true
		case strings.Contains(path, "/kubernetes.io~csi/"), strings.Contains(path, "/plugins/kubernetes.io/csi/"):
			m.others = append(m.others, path)
		default:
			m.targets = append(m.targets, path)
		}
	}
	return m
}

// stagingRoot is where `loam volume mount` stages volumes: beside the agent's socket, unless the agent mounts only
// beneath a kubelet's directory.
func stagingRoot(info admin.Info) string {
	if filepath.Clean(info.KubeletDir) == "/" {
		return filepath.Join(filepath.Dir(info.CSISocket), "staging")
	}
	return filepath.Join(info.KubeletDir, "plugins", info.Driver, "staging")
}

// state is how a volume does, in a few words.
func state(v admin.Volume, info admin.Info) string {
	m := mountsOf(v, info)
	switch {
	case v.Health != "":
		return v.Health
	case len(m.targets) > 0:
		return "mounted on " + strings.Join(m.targets, ", ")
	case len(m.others) > 0:
		return "mounted by the kubelet"
	case m.staged:
		return "staged"
	}
	return "not mounted"
}
