package lvm

import (
	"slices"
	"strconv"
)

// The functions of this file turn a checked request into LVM's command and its options, without those that every command
// gets. -qq answers "no" to whatever LVM would ask and --yes answers "yes": no command can wait for a person.

// createGroupArgs has no --yes on purpose: a device that carries a signature of any kind is then refused and left as it is.
func createGroupArgs(r CreateGroup) []string {
	args := []string{"vgcreate", "-qq"}
	if r.ExtentSize > 0 {
		args = append(args, "--physicalextentsize", size(r.ExtentSize))
	}
	if r.MetadataSize > 0 {
		args = append(args, "--metadatasize", size(r.MetadataSize))
	}
	args = append(args, tags("--addtag", r.Tags)...)
	return append(append(args, "--", r.Name), r.Devices...)
}

// extendGroupArgs has no --yes either.
func extendGroupArgs(vg string, metadataSize Bytes, devices []string) []string {
	args := []string{"vgextend", "-qq"}
	if metadataSize > 0 {
		args = append(args, "--metadatasize", size(metadataSize))
	}
	return append(append(args, "--", vg), devices...)
}

// clearArgs has --force twice, as LVM otherwise refuses a physical volume that was about to join a group.
func clearArgs(devices []string) []string {
	return append([]string{"pvremove", "-qq", "--yes", "--force", "--force", "--"}, devices...)
}

// createPoolArgs zeroes new blocks, so that nobody reads another's bytes, and keeps a spare as large as the metadata for
// lvconvert --repair. That a full pool returns errors is set in the configuration (see settings).
func createPoolArgs(r CreatePool) []string {
	args := []string{"lvcreate", "-qq", "--yes", "--type", "thin-pool", "--size", size(r.Size)}
	if r.MetadataSize > 0 {
		args = append(args, "--poolmetadatasize", size(r.MetadataSize))
	}
	if r.ChunkSize > 0 {
		args = append(args, "--chunksize", size(r.ChunkSize))
	}
	if r.Stripes > 1 {
		args = append(args, "--stripes", strconv.Itoa(r.Stripes))
	}
	args = append(args, "--zero", "y", "--discards", "passdown", "--poolmetadataspare", "y")
	args = append(args, tags("--addtag", r.Tags)...)
	return append(args, "--name", r.Name, "--", r.VG)
}

func extendPoolArgs(r ExtendPool) []string {
	args := []string{"lvextend", "-qq"}
	if r.Size > 0 {
		args = append(args, "--size", size(r.Size))
	}
	if r.MetadataSize > 0 {
		args = append(args, "--poolmetadatasize", size(r.MetadataSize))
	}
	return append(args, "--", r.VG+"/"+r.Name)
}

// createThinArgs asks for no wiping (LVM refuses --zero here): a new thin volume has no blocks, and must be left so.
func createThinArgs(r CreateThin) []string {
	args := []string{
		"lvcreate", "-qq", "--yes", "--type", "thin", "--virtualsize", size(r.Size), "--thinpool", r.Pool,
		"--setactivationskip", "n", "--activate", "y",
	}
	args = append(args, tags("--addtag", r.Tags)...)
	return append(args, "--name", r.Name, "--", r.VG)
}

// createThickArgs has LVM zero the first 4 KiB and wipe every signature that it finds: the extents may have been another
// volume's, and a file system's remains would make the new volume look used.
func createThickArgs(r CreateThick) []string {
	args := []string{"lvcreate", "-qq", "--yes", "--type", string(Linear)}
	if r.Stripes > 1 {
		args = []string{"lvcreate", "-qq", "--yes", "--type", string(Striped), "--stripes", strconv.Itoa(r.Stripes)}
	}
	args = append(args, "--size", size(r.Size), "--zero", "y", "--wipesignatures", "y", "--setactivationskip", "n", "--activate", "y")
	args = append(args, tags("--addtag", r.Tags)...)
	return append(args, "--name", r.Name, "--", r.VG)
}

func createSnapshotArgs(r CreateSnapshot) []string {
	args := []string{"lvcreate", "-qq", "--yes"}
	if r.Pool != "" {
		args = append(args, "--type", "thin", "--thinpool", r.Pool)
	} else {
		args = append(args, "--snapshot")
	}
	if r.Writable {
		args = append(args, "--permission", "rw", "--setactivationskip", "n", "--activate", "y")
	} else {
		args = append(args, "--permission", "r", "--setactivationskip", "y", "--activate", "n")
	}
	args = append(args, tags("--addtag", r.Tags)...)
	return append(args, "--name", r.Name, "--", r.VG+"/"+r.Origin)
}

// extendArgs names no file system: lvextend resizes one only when told to.
func extendArgs(vg, lv string, to Bytes) []string {
	return []string{"lvextend", "-qq", "--size", size(to), "--", vg + "/" + lv}
}

// extendMetadataArgs has LVM leave device-mapper alone: see Extend.
func extendMetadataArgs(vg, lv string, to Bytes) []string {
	return []string{"lvextend", "-qq", "--driverloaded", "n", "--size", size(to), "--", vg + "/" + lv}
}

// refreshArgs reloads the tables of a volume, and of what it stands on, from the metadata, and resumes what is suspended.
func refreshArgs(vg, lv string) []string {
	return []string{"lvchange", "-qq", "--refresh", "--", vg + "/" + lv}
}

// refreshGroupArgs is refreshArgs for all active volumes of a group.
func refreshGroupArgs(vg string) []string {
	return []string{"vgchange", "-qq", "--refresh", "--", vg}
}

func backUpArgs(vg string) []string { return []string{"vgcfgbackup", "-qq", "--", vg} }

func removeArgs(vg string, lvs []string) []string {
	return append([]string{"lvremove", "-qq", "--yes", "--"}, paths(vg, lvs)...)
}

// activateArgs activates also volumes whose activation is skipped by default: the caller names what it wants.
func activateArgs(vg string, lvs []string) []string {
	return append([]string{"lvchange", "-qq", "--activate", "y", "--ignoreactivationskip", "--"}, paths(vg, lvs)...)
}

func deactivateArgs(vg string, lvs []string) []string {
	return append([]string{"lvchange", "-qq", "--activate", "n", "--"}, paths(vg, lvs)...)
}

func renameArgs(vg, from, to string) []string {
	return []string{"lvrename", "-qq", "--", vg, from, to}
}

func changeTagsArgs(r ChangeTags) []string {
	args := []string{"lvchange", "-qq"}
	args = append(args, tags("--deltag", r.Remove)...)
	args = append(args, tags("--addtag", r.Add)...)
	return append(append(args, "--"), paths(r.VG, r.Names)...)
}

// size writes a size as LVM reads it. LVM counts in sectors, and rounds up to extents by itself.
func size(b Bytes) string { return strconv.FormatInt(int64(b.RoundUp(Sector)), 10) + "b" }

func tags(option string, tags []string) []string {
	args := make([]string, 0, 2*len(tags))
	for _, t := range tags {
		args = append(args, option, t)
	}
	return args
}

func paths(vg string, lvs []string) []string {
	full := slices.Clone(lvs)
	for i := range full {
		full[i] = vg + "/" + full[i]
	}
	return full
}
