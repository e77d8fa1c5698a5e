package cluster

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/loam-storage/loam/node/admin"
)

// Disk is a disk of a node.
type Disk struct {
	Node string `json:"node"`
	admin.Disk
}

// Pool is a pool of a node.
type Pool struct {
	Node string `json:"node"`
	admin.Pool
}

// Disks are those that agents told of, by node.
func Disks(agents []Agent) []Disk {
	all := []Disk{}
	for _, g := range agents {
		if g.Report != nil {
			for _, d := range g.Report.Disks {
				all = append(all, Disk{g.Node, d})
			}
		}
	}
	return all
}

// Pools are those that agents told of, by node.
func Pools(agents []Agent) []Pool {
	all := []Pool{}
	for _, g := range agents {
		if g.Report != nil {
			for _, p := range g.Report.Pools {
				all = append(all, Pool{g.Node, p})
			}
		}
	}
	return all
}

// Named is a disk that a configuration could name.
type Named struct {
	Disk
	Stable string // the path to name it by
	Stays  bool   // that path means this disk after a reboot, too
}

// Untaken are the disks that are blank and that no configuration names. Loop devices are somebody's files.
func Untaken(disks []Disk) []Named {
	var all []Named
	for _, d := range disks {
		if !d.Unnamed || d.Kind == "loop" || isPattern(d.Path) {
			continue
		}
		n := Named{Disk: d, Stable: d.Path}
		n.Stable, n.Stays = stablePath(d.Disk)
		all = append(all, n)
	}
	return all
}

// stablePath is the name of a disk that goes with the disk: one with its serial number, which a person can compare with its label,
// then other names of the hardware.
func stablePath(d admin.Disk) (name string, stays bool) {
	rank := func(link string) int {
		name := path.Base(link)
		switch {
		case d.Serial != "" && strings.Contains(name, strings.ReplaceAll(d.Serial, " ", "_")):
			return 0
		case strings.HasPrefix(name, "wwn-"), strings.HasPrefix(name, "nvme-eui."), strings.HasPrefix(name, "nvme-uuid."):
			return 1
		}
		return 2
	}
	var links []string
	for _, l := range d.Links {
		// What is made of a disk, or is on it, has names there, too.
		if strings.HasPrefix(l, "/dev/disk/by-id/") && !strings.HasPrefix(path.Base(l), "lvm-") && !isPattern(l) {
			links = append(links, l)
		}
	}
	if len(links) == 0 {
		return d.Path, strings.HasPrefix(d.Path, "/dev/mapper/")
	}
	return slices.MinFunc(links, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	}), true
}

// isPattern says whether a path would mean other disks, too, in a configuration.
func isPattern(path string) bool {
	return !strings.HasPrefix(path, "/dev/") || strings.ContainsAny(path, `*?[\`)
}

// Plan is the chart's values with which those disks go to a pool: the configuration that there is, with their paths added. Keys and pools
// stay in their order. Errors: a configuration that cannot be read.
func Plan(config, pool string, disks []Named) (string, error) {
	var whole yaml.MapSlice
	if err := yaml.UnmarshalWithOptions([]byte(config), &whole, yaml.UseOrderedMap()); err != nil {
		return "", fmt.Errorf("the present configuration: %s", yaml.FormatError(err, false, false))
	}
	var paths []any
	for _, d := range disks {
		if !slices.Contains(paths, any(d.Stable)) {
			paths = append(paths, d.Stable)
		}
	}
	pools, _ := value(whole, "pools").([]any)
	i := slices.IndexFunc(pools, func(p any) bool { m, ok := p.(yaml.MapSlice); return ok && value(m, "name") == pool })
	if i < 0 {
		pools = append(pools, yaml.MapSlice{{Key: "name", Value: pool}, {Key: "devices", Value: yaml.MapSlice{{Key: "paths", Value: paths}}}})
	} else {
		p := pools[i].(yaml.MapSlice)
		devices, _ := value(p, "devices").(yaml.MapSlice)
		present, _ := value(devices, "paths").([]any)
		pools[i] = set(p, "devices", set(devices, "paths", append(present, paths...)))
	}
	text, err := yaml.MarshalWithOptions(yaml.MapSlice{{Key: "config", Value: set(whole, "pools", pools)}}, yaml.IndentSequence(false))
	return string(text), err
}

func value(m yaml.MapSlice, key string) any {
	for _, item := range m {
		if item.Key == key {
			return item.Value
		}
	}
	return nil
}

func set(m yaml.MapSlice, key string, to any) yaml.MapSlice {
	for i, item := range m {
		if item.Key == key {
			m[i].Value = to
			return m
		}
	}
	return append(m, yaml.MapItem{Key: key, Value: to})
}
