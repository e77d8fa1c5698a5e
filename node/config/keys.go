package config

import (
	"slices"
	"strings"
)

// Key is one thing that a configuration may say of a pool. The table of them is what Parse decodes by.
type Key struct {
	Path    string // "pools[].thin.chunkSize"
	Expects string // what may be written: the end of "expected …"
	Default string // as it would be written; "" for none
	Meaning string
	For     Type // the only type of pool that has it; "" for both
	Fixed   bool // what a pool that exists has cannot be changed

	shape shape
	set   func(p *Pool, v string) bool // takes one value (of a list: the next; of labels: key=value), or refuses it
	get   func(p Pool) []string        // the values as set takes them
}

// shape is what a value must be in YAML.
type shape int

const (
	text shape = iota
	number
	size  // a number or a text
	truth // true or false
	list  // of texts
	labels
)

// pool is what every Path of the table begins with.
const poolPath = "pools[]"

// Keys is the reference: everything that may be written, in the order in which it is best explained.
func Keys() []Key { return slices.Clone(keys) }

var keys = []Key{
	{
		Path: "pools[].name", Expects: "a DNS label: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit",
		Meaning: "Name of the pool, which StorageClass parameter pool gives. Required, and different for each pool.",
		set:     setName, get: func(p Pool) []string { return []string{p.Name} },
	}, {
		Path: "pools[].type", Expects: "thin or thick", Default: "thin", Fixed: true,
		Meaning: "thin: volumes take space as they are written to, and can have snapshots. thick: volumes take all their space when they are made.",
		set:     setType, get: func(p Pool) []string { return []string{string(p.Type)} },
	}, {
		Path: "pools[].devices.paths", Expects: "an absolute path or pattern below /dev, without .. or doubled slashes", shape: list,
		Meaning: "Whole disks, partitions, md, loop, multipath or dm-crypt devices that the pool may take, when they are blank and nobody uses them. " +
			"*, ? and [a-z] match within one element of a path; links (/dev/disk/by-id/…) count as well as device nodes. " +
			"Required, unless volumeGroup names a group that exists already.",
		set: setPath, get: func(p Pool) []string { return p.Devices.Paths },
	}, {
		Path: "pools[].devices.exclude", Expects: "a pattern below /dev, or without a slash to match the last element of a name", shape: list,
		Meaning: "Devices not to take although paths match them. A device is excluded when any of its names matches.",
		set:     setExclude, get: func(p Pool) []string { return p.Devices.Exclude },
	}, {
		Path: "pools[].devices.minSize", Expects: sizeExpected, shape: size,
		Meaning: "Smallest device to take.",
		set:     func(p *Pool, v string) bool { return setSize(&p.Devices.MinSize, v) },
		get:     func(p Pool) []string { return optional(p.Devices.MinSize) },
	}, {
		Path: "pools[].devices.maxSize", Expects: sizeExpected, shape: size,
		Meaning: "Largest device to take.",
		set:     func(p *Pool, v string) bool { return setSize(&p.Devices.MaxSize, v) },
		get:     func(p Pool) []string { return optional(p.Devices.MaxSize) },
	}, {
		Path: "pools[].devices.rotational", Expects: "true or false", shape: truth,
		Meaning: "true: only disks that spin; false: only disks that do not; absent: both.",
		set:     setRotational, get: rotational,
	}, {
		Path: "pools[].volumeGroup", Expects: "a volume group's name: at most 127 of a-z, A-Z, 0-9, + _ . and -, not beginning with -, not . or ..",
		Default: "loam-<name>", Fixed: true,
		Meaning: "LVM volume group of the pool. One that exists is adopted as it is, never made anew. Different for each pool.",
		set:     setVolumeGroup, get: func(p Pool) []string { return []string{p.VolumeGroup} },
	}, {
		Path: "pools[].reserve", Expects: "a percentage below 100%, or a size with a suffix such as Gi", Default: "5%", shape: size,
		Meaning: "Part of the volume group that is never given out.",
		set:     setReserve, get: func(p Pool) []string { return []string{p.Reserve.String()} },
	}, {
		Path: "pools[].thin.overprovision", Expects: "a number from 0.01 to 1000", Default: "1.0", For: Thin, shape: number,
		Meaning: "How much may be promised to volumes, as a multiple of the pool's size. Above 1, volumes can be promised more than there is.",
		set:     setOverprovision, get: overprovision,
	}, {
		Path: "pools[].thin.chunkSize", Expects: "a multiple of 64Ki from 64Ki to 1Gi", Default: "64Ki", For: Thin, Fixed: true, shape: size,
		Meaning: "Unit in which the thin pool gives space and snapshots share it. Larger is faster to write first, and wastes more with snapshots.",
		set:     setChunkSize, get: func(p Pool) []string { return []string{written(p.Thin.ChunkSize)} },
	}, {
		Path: "pools[].thin.stopAt", Expects: "a percentage above 0% and up to 100%", Default: "95%", For: Thin,
		Meaning: "No new volume is made once the thin pool's data or metadata are as full as this.",
		set:     func(p *Pool, v string) bool { return setPercent(&p.Thin.StopAt, v) },
		get:     func(p Pool) []string { return []string{p.Thin.StopAt.String()} },
	}, {
		Path: "pools[].thin.extend.at", Expects: "a percentage above 0% and up to 100%", Default: "80%", For: Thin,
		Meaning: "The thin pool is extended, while its volume group has room, once its data or metadata are as full as this. Below stopAt.",
		set:     func(p *Pool, v string) bool { return setPercent(&p.Thin.Extend.At, v) },
		get:     func(p Pool) []string { return []string{p.Thin.Extend.At.String()} },
	}, {
		Path: "pools[].thin.extend.by", Expects: "a percentage above 0% and up to 100%", Default: "20%", For: Thin,
		Meaning: "How much is added then, of the size that the pool has.",
		set:     func(p *Pool, v string) bool { return setPercent(&p.Thin.Extend.By, v) },
		get:     func(p Pool) []string { return []string{p.Thin.Extend.By.String()} },
	}, {
		Path: "pools[].stripes", Expects: "a whole number from 1 to 128", Default: "1", Fixed: true, shape: number,
		Meaning: "Devices across which data is striped: the thin pool, or each volume of a thick pool. As many devices must have room.",
		set:     setStripes, get: stripes,
	}, {
		Path: "pools[].wipe", Expects: "zero, discard or none", Default: "zero", For: Thick,
		Meaning: "What happens to a deleted volume's space before another gets it. discard: only for devices that then return zeroes. " +
			"none: the next volume can read what was there. A thin pool needs none, as it zeroes what it gives.",
		set: setWipe, get: func(p Pool) []string { return []string{string(p.Wipe)} },
	}, {
		Path: "pools[].nodes", Expects: "labels as Kubernetes has them: names, with an optional prefix, and values of at most 63 of a-z, A-Z, 0-9, - _ and .", shape: labels,
		Meaning: "Labels that a node must have for the pool to take disks of it. Absent: every node.",
		set:     setLabel, get: nodeLabels,
	},
}

const sizeExpected = "a size above 0 with an optional suffix Ki, Mi, Gi, Ti, Pi, k, M, G, T or P"

// keyAt finds a key by its Path.
func keyAt(path string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Path == path })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// below lists the names that may stand under a path, in the table's order; none when nothing may.
func below(path string) []string {
	var names []string
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k.Path, path+".")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
