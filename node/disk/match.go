package disk

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/loam-storage/loam/node/config"
)

// named says whether a pool's devices.paths mean a disk.
func named(p config.Pool, d Disk) bool {
	return slices.ContainsFunc(d.names(), func(name string) bool {
		return slices.ContainsFunc(p.Devices.Paths, func(pattern string) bool { return matches(pattern, name) })
	})
}

// matches takes patterns that config accepted, which are not malformed.
func matches(pattern, name string) bool {
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

// unfit says why a pool that names a disk does not take it; "" when it does.
func unfit(p config.Pool, labels map[string]string, d Disk) string {
	if labels != nil && !p.Selects(labels) {
		return fmt.Sprintf("pool %s takes disks of nodes with the labels %s, and this node lacks them", p.Name, Selector(p))
	}
	for _, pattern := range p.Devices.Exclude {
		if slices.ContainsFunc(d.names(), func(name string) bool { return matches(pattern, name) }) {
			return fmt.Sprintf("excluded by %q of pool %s", pattern, p.Name)
		}
	}
	spins := p.Devices.Rotational
	switch {
	case d.Size < p.Devices.MinSize:
		return fmt.Sprintf("smaller than minSize %v of pool %s", p.Devices.MinSize, p.Name)
	case p.Devices.MaxSize > 0 && d.Size > p.Devices.MaxSize:
		return fmt.Sprintf("larger than maxSize %v of pool %s", p.Devices.MaxSize, p.Name)
	case spins != nil && *spins && !d.Rotational:
		return fmt.Sprintf("not rotational, as pool %s wants it", p.Name)
	case spins != nil && !*spins && d.Rotational:
		return fmt.Sprintf("rotational, and pool %s takes only disks that are not", p.Name)
	}
	return ""
}

// Selector is the labels by which a pool chooses nodes, as Kubernetes writes them.
func Selector(p config.Pool) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(p.Nodes)) {
		all = append(all, key+"="+p.Nodes[key])
	}
	return strings.Join(all, ",")
}

// choice is what the configuration says of a disk.
type choice struct {
	pool    string   // the first that takes it; else the first that names it; "" for none
	takes   bool     // that pool would
	also    []string // later pools that would take it, too
	reasons []string // why none takes it
}

// isAlone says whether no pool names the disk and nothing else is among the reasons.
func (c choice) isAlone(all []string) bool { return c.pool == "" && len(all) == len(c.reasons) }

// choose decides in the order of the configuration.
func choose(pools []config.Pool, labels map[string]string, d Disk) choice {
	var c choice
	for _, p := range pools {
		if !named(p, d) {
			continue
		}
		why := unfit(p, labels, d)
		switch {
		case why != "":
			c.reasons = append(c.reasons, why)
			if c.pool == "" {
				c.pool = p.Name
			}
		case c.takes:
			c.also = append(c.also, p.Name)
		default:
			c.pool, c.takes = p.Name, true
		}
	}
	if c.pool == "" {
		c.reasons = []string{"matches no pool's devices.paths"}
	}
	if c.takes {
		c.reasons = nil
	}
	return c
}
