package lvm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// parseMetadata reads the text of a volume group's metadata (lvm2: lib/format_text/export.c) into what of it is in a
// report: all but where its physical volumes are and what the kernel knows of its volumes. What this package does not make
// itself and need not know (RAID, caches, snapshots that are not thin, groups shared between hosts) is errDamaged, as is
// what cannot be: then LVM is asked.
func parseMetadata(text []byte) (VolumeGroup, error) {
	root, err := parseText(text)
	if err != nil {
		return VolumeGroup{}, err
	}
	if len(root.order) != 1 {
		return VolumeGroup{}, fmt.Errorf("metadata text of %d groups: %w", len(root.order), errDamaged)
	}
	m := metadata{}
	if root.values["contents"] != "Text Format Volume Group" || m.number(root, "version") != 1 {
		m.fail("contents", "version 1 of a volume group")
	}
	vg := m.group(root.order[0], root.sections[root.order[0]])
	return vg, m.err
}

// metadata reads one group.
type metadata struct {
	fields
	extent  Bytes
	extents map[string]int64 // of each physical volume, by its section's name: free ones
}

func (m *metadata) group(name string, s *section) VolumeGroup {
	status := m.flags(s, "status", "RESIZEABLE", "READ", "WRITE", "EXPORTED")
	m.flags(s, "flags", "WRITE_LOCKED") // which keeps a version of LVM that knows no system IDs from writing
	vg := VolumeGroup{
		Name: name, UUID: m.uuid(s), SystemID: m.text(s, "system_id"), Seqno: m.number(s, "seqno"), Tags: m.tags(s), Exported: status["EXPORTED"],
		ExtentSize: Bytes(m.number(s, "extent_size")) * Sector,
	}
	if CheckGroup(name) != nil || m.text(s, "format") != "lvm2" || vg.ExtentSize == 0 || vg.ExtentSize > maxExtent {
		m.fail(name, "a volume group of lvm2")
		return VolumeGroup{}
	}
	if kind := m.text(s, "lock_type"); kind != "" && kind != "none" || len(s.sections["historical_logical_volumes"].names()) > 0 {
		m.fail(name, "a group that is not shared, with no history")
	}
	m.extent = vg.ExtentSize
	m.physicalVolumes(&vg, m.section(s, "physical_volumes"))
	m.logicalVolumes(&vg, m.section(s, "logical_volumes"))
	for i, key := range m.section(s, "physical_volumes").order {
		vg.PVs[i].Free = Bytes(m.extents[key]) * vg.ExtentSize
		vg.Size, vg.Free = vg.Size+vg.PVs[i].Size, vg.Free+vg.PVs[i].Free
		if m.extents[key] < 0 {
			m.fail(key, "as many extents as its volumes have")
		}
	}
	return vg
}

// maxExtent and maxExtents are far beyond what LVM allows in one group, and their product does not overflow.
const (
	maxExtent  = 16 * TiB
	maxExtents = math.MaxUint32
)

func (m *metadata) physicalVolumes(vg *VolumeGroup, s *section) {
	m.extents = map[string]int64{}
	for _, key := range s.order {
		pv := s.sections[key]
		status := m.flags(pv, "status", "ALLOCATABLE", "EXPORTED")
		m.flags(pv, "flags") // MISSING is one
		count := m.number(pv, "pe_count")
		if count > maxExtents || Bytes(count) > (1<<62)/m.extent {
			m.fail("pe_count", "a number of extents")
			count = 0
		}
		m.extents[key] = count
		vg.PVs = append(vg.PVs, PhysicalVolume{
			UUID: m.uuid(pv), Tags: m.tags(pv), Size: Bytes(count) * m.extent, Allocatable: status["ALLOCATABLE"],
		})
	}
	if len(vg.PVs) == 0 {
		m.fail("physical_volumes", "some")
	}
}

func (m *metadata) logicalVolumes(vg *VolumeGroup, s *section) {
	vg.LVs = make([]LogicalVolume, 0, len(s.order))
	for _, name := range s.order {
		vg.LVs = append(vg.LVs, m.logicalVolume(name, s.sections[name]))
	}
	for i := range vg.LVs {
		pool := &vg.LVs[i]
		if pool.Segment != ThinPool {
			continue
		}
		first := s.sections[pool.Name].sections["segment1"]
		data, ok := vg.LV(m.text(first, "pool"))
		meta, found := vg.LV(m.text(first, "metadata"))
		if !ok || !found || len(s.sections[pool.Name].sections) != 1 {
			m.fail(pool.Name, "a thin pool of data and metadata")
		}
		pool.Stripes, pool.MetadataSize = data.Stripes, meta.Size
	}
	slices.SortStableFunc(vg.LVs, func(a, b LogicalVolume) int { return cmp.Compare(a.Name, b.Name) })
}

func (m *metadata) logicalVolume(name string, s *section) LogicalVolume {
	status := m.flags(s, "status", "READ", "WRITE", "VISIBLE")
	flags := m.flags(s, "flags", "ACTIVATION_SKIP", "ERROR_WHEN_FULL")
	lv := LogicalVolume{
		Name: name, UUID: m.uuid(s), Hidden: !status["VISIBLE"], Tags: m.tags(s), ReadOnly: !status["WRITE"],
		SkipActive: flags["ACTIVATION_SKIP"], Stripes: 1,
	}
	if created := m.number(s, "creation_time"); created > 0 {
		lv.Created = time.Unix(created, 0)
	}
	count := m.number(s, "segment_count")
	if count == 0 || count != int64(len(s.sections)) {
		m.fail(name, "its segments")
		return lv
	}
	var extents int64
	for i := range count {
		segment, ok := s.sections[fmt.Sprintf("segment%d", i+1)]
		if !ok || m.number(segment, "start_extent") != extents {
			m.fail(name, "its segments in order")
			return lv
		}
		length := m.number(segment, "extent_count")
		if extents += length; length == 0 || extents > maxExtents || Bytes(extents) > (1<<62)/m.extent {
			m.fail(name, "a number of extents")
			return lv
		}
		m.segment(&lv, segment, i == 0)
	}
	lv.Size = Bytes(extents) * m.extent
	lv.ErrorWhenFull = lv.Segment == ThinPool && flags["ERROR_WHEN_FULL"]
	return lv
}

func (m *metadata) segment(lv *LogicalVolume, s *section, first bool) {
	kind := Segment(m.text(s, "type"))
	switch kind {
	case Striped:
		stripes := m.stripes(s)
		if stripes == 1 {
			kind = Linear
		}
		if first {
			lv.Stripes = stripes
		}
	case Thin:
		lv.Pool, lv.Origin = m.text(s, "thin_pool"), m.text(s, "origin")
		if lv.Pool == "" || m.text(s, "external_origin")+m.text(s, "merge") != "" {
			m.fail(lv.Name, "a thin volume of one pool")
		}
	case ThinPool:
		lv.ChunkSize, lv.TransactionID = Bytes(m.number(s, "chunk_size"))*Sector, uint64(m.number(s, "transaction_id"))
		if lv.ChunkSize == 0 || lv.ChunkSize > GiB {
			m.fail("chunk_size", "64 KiB to 1 GiB")
		}
	default:
		m.fail(lv.Name, "a volume that is linear, striped, thin or a thin pool")
	}
	if !first && (kind == Thin || kind == ThinPool) {
		m.fail(lv.Name, "one segment")
	}
	if first {
		lv.Segment = kind
	}
}

// stripes takes a segment's extents from those of the physical volumes that it is on, and returns across how many it is
// striped: "stripes" has the name of each and where on it the stripe begins.
func (m *metadata) stripes(s *section) int {
	count, extents := m.number(s, "stripe_count"), m.number(s, "extent_count")
	list, _ := s.values["stripes"].([]any)
	if count == 0 || int64(len(list)) != 2*count || extents%count != 0 {
		m.fail("stripes", "a physical volume and a place on it for each")
		return 1
	}
	for i := 0; i < len(list); i += 2 {
		pv, ok := list[i].(string)
		if _, known := m.extents[pv]; !ok || !known {
			m.fail("stripes", "a physical volume")
			return 1
		}
		m.extents[pv] -= extents / count
	}
	return int(count)
}

// flags returns those that are set; one that is not known is not as it must be.
func (m *metadata) flags(s *section, name string, known ...string) map[string]bool {
	set := map[string]bool{}
	for _, flag := range m.strings(s, name) {
		if !slices.Contains(known, flag) {
			m.fail(name, strings.Join(known, ", "))
		}
		set[flag] = true
	}
	return set
}

// tags are sorted, as LVM reports them.
func (m *metadata) tags(s *section) []string {
	tags := m.strings(s, "tags")
	slices.Sort(tags)
	return tags
}

// names are those of the sections in s, which may be nil.
func (s *section) names() []string {
	if s == nil {
		return nil
	}
	return s.order
}
