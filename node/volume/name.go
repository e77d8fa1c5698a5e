package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// SnapshotPrefix begins the name of every snapshot's logical volume and of no volume's.
const SnapshotPrefix = "snap-"

const (
	wipingPrefix = "wiping-"
	hashedPrefix = "h-"
)

// provisioned are the names that external-provisioner gives (--volume-name-prefix), and those that SnapshotLV makes of
// external-snapshotter's.
var provisioned = regexp.MustCompile(`^(pvc|snap)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Provisioned says whether a volume was made for a claim, or a snapshot for a VolumeSnapshot: those of other names are somebody's who
// made them without Kubernetes.
func Provisioned(lv string) bool { return provisioned.MatchString(lv) }

// reserved matches what lvm(8), "Valid names", keeps for itself: two prefixes, and infixes of hidden volumes.
var reserved = regexp.MustCompile(`^(snapshot|pvmove)|_(cdata|cmeta|corig|cpool|cvol|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin|imeta|wcorig)`)

// maxDashes bounds '-', which device-mapper doubles in a device's name of at most 127 bytes: 64 for the volume, 24 for
// its dashes, and the rest for the group and for LVM's suffixes.
const maxDashes = 24

// VolumeLV is the name of the logical volume for a CSI volume name: that name itself where LVM can carry it, so that a
// retry finds its own work and a person the claim; a digest of it otherwise.
func VolumeLV(name string) string {
	for _, p := range []string{SnapshotPrefix, wipingPrefix, hashedPrefix} {
		if strings.HasPrefix(name, p) {
			return hashed(name)
		}
	}
	if !fits(name) {
		return hashed(name)
	}
	return name
}

// SnapshotLV is the same for a CSI snapshot name. LVM reserves names that begin with "snapshot", as external-snapshotter's do.
func SnapshotLV(name string) string {
	lv := SnapshotPrefix + strings.TrimPrefix(name, "snapshot-")
	if !fits(lv) {
		return SnapshotPrefix + hashed(name)
	}
	return lv
}

// WipingLV is what a thick volume is renamed to between its deletion and the end of its zeroing. It is made of LVM's UUID,
// so that the volume's name is free at once, and again and again.
func WipingLV(uuid string) string { return wipingPrefix + uuid }

func fits(lv string) bool {
	return len(lv) <= maxLV && lvName.MatchString(lv) && !reserved.MatchString(lv) && strings.Count(lv, "-") <= maxDashes
}

func hashed(name string) string { return hashedPrefix + hex.EncodeToString(digest(name))[:40] }

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}
