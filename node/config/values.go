package config

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/loam-storage/loam/lvm"
)

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	decimal  = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)
	integer  = regexp.MustCompile(`^[0-9]{1,9}$`)
	// Kubernetes' label syntax: an optional DNS subdomain and a slash, then a name; a value may be empty.
	labelPrefix = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	labelName   = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
)

const (
	leastChunk = 64 * lvm.KiB // lvmthin(7): the kernel's bounds, and what chunks must be a multiple of
	mostChunk  = lvm.GiB
)

func setName(p *Pool, v string) bool {
	p.Name = v
	return dnsLabel.MatchString(v)
}

func setType(p *Pool, v string) bool {
	p.Type = Type(v)
	return p.Type == Thin || p.Type == Thick
}

func setPath(p *Pool, v string) bool {
	p.Devices.Paths = append(p.Devices.Paths, v)
	return strings.HasPrefix(v, "/dev/") && pattern(v)
}

func setExclude(p *Pool, v string) bool {
	p.Devices.Exclude = append(p.Devices.Exclude, v)
	return (strings.HasPrefix(v, "/dev/") || !strings.Contains(v, "/")) && pattern(v)
}

// pattern says whether path.Match takes v, and could match a cleaned path with it.
func pattern(v string) bool {
	_, err := path.Match(v, "")
	return err == nil && path.Clean(v) == v && v != "." && v != ".." && !strings.ContainsFunc(v, unicode.IsControl)
}

func setSize(to *lvm.Bytes, v string) bool {
	n, err := lvm.ParseBytes(v)
	*to = n
	return err == nil && n > 0
}

func optional(b lvm.Bytes) []string {
	if b == 0 {
		return nil
	}
	return []string{written(b)}
}

func setRotational(p *Pool, v string) bool {
	b := v == "true"
	p.Devices.Rotational = &b
	return b || v == "false"
}

func rotational(p Pool) []string {
	if p.Devices.Rotational == nil {
		return nil
	}
	return []string{strconv.FormatBool(*p.Devices.Rotational)}
}

func setVolumeGroup(p *Pool, v string) bool {
	p.VolumeGroup = v
	return lvm.CheckGroup(v) == nil
}

func setReserve(p *Pool, v string) bool {
	var ok bool
	p.Reserve, ok = ParseShare(v)
	return ok && p.Reserve.percent() < 100_00
}

func setPercent(to *Share, v string) bool {
	var ok bool
	*to, ok = ParsePercent(v)
	return ok && to.percent() > 0
}

func setOverprovision(p *Pool, v string) bool {
	if !decimal.MatchString(v) {
		return false
	}
	var err error
	p.Thin.Overprovision, err = strconv.ParseFloat(v, 64)
	return err == nil && p.Thin.Overprovision >= 0.01 && p.Thin.Overprovision <= 1000
}

func overprovision(p Pool) []string {
	return []string{strconv.FormatFloat(p.Thin.Overprovision, 'f', -1, 64)}
}

func setChunkSize(p *Pool, v string) bool {
	return setSize(&p.Thin.ChunkSize, v) && p.Thin.ChunkSize%leastChunk == 0 && p.Thin.ChunkSize <= mostChunk
}

func setStripes(p *Pool, v string) bool {
	if !integer.MatchString(v) {
		return false
	}
	var err error
	p.Stripes, err = strconv.Atoi(v)
	return err == nil && p.Stripes >= 1 && p.Stripes <= 128 // lvcreate(8): at most 128 stripes
}

func stripes(p Pool) []string { return []string{strconv.Itoa(p.Stripes)} }

func setWipe(p *Pool, v string) bool {
	p.Wipe = Wipe(v)
	return p.Wipe == Zero || p.Wipe == Discard || p.Wipe == None
}

func setLabel(p *Pool, v string) bool {
	key, value, _ := strings.Cut(v, "=")
	if p.Nodes == nil {
		p.Nodes = map[string]string{}
	}
	p.Nodes[key] = value
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		name = key
	}
	return labelName.MatchString(name) && (!prefixed || labelPrefix.MatchString(prefix)) && (value == "" || labelName.MatchString(value))
}

func nodeLabels(p Pool) []string {
	all := make([]string, 0, len(p.Nodes))
	for _, key := range slices.Sorted(maps.Keys(p.Nodes)) {
		all = append(all, key+"="+p.Nodes[key])
	}
	return all
}
