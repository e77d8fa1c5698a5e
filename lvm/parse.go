package lvm

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parsed is a report and the device numbers of its physical volumes.
type parsed struct {
	Report
	numbers []deviceNumber
}

type deviceNumber struct{ major, minor uint32 }

// The rows of fullreport's JSON; every value is a string. What each means is in lvs(8), pvs(8) and vgs(8), "-o help".
// Values that LVM does not know are "", "-1" or "unknown".
type (
	jsonReport struct {
		Report []jsonGroup `json:"report"`
	}
	jsonGroup struct {
		VG  []vgRow  `json:"vg"`
		PV  []pvRow  `json:"pv"`
		LV  []lvRow  `json:"lv"`
		Seg []segRow `json:"seg"`
	}
	vgRow struct {
		UUID       string `json:"vg_uuid"`
		Name       string `json:"vg_name"`
		SystemID   string `json:"vg_sysid"`
		Seqno      string `json:"vg_seqno"`
		Tags       string `json:"vg_tags"`
		Size       string `json:"vg_size"`
		Free       string `json:"vg_free"`
		ExtentSize string `json:"vg_extent_size"`
		MDASize    string `json:"vg_mda_size"`
		MDAFree    string `json:"vg_mda_free"`
		Exported   string `json:"vg_exported"`
		Partial    string `json:"vg_partial"`
		MissingPVs string `json:"vg_missing_pv_count"`
	}
	pvRow struct {
		UUID        string `json:"pv_uuid"`
		Name        string `json:"pv_name"`
		Major       string `json:"pv_major"`
		Minor       string `json:"pv_minor"`
		Tags        string `json:"pv_tags"`
		Size        string `json:"pv_size"`
		Free        string `json:"pv_free"`
		Missing     string `json:"pv_missing"`
		Duplicate   string `json:"pv_duplicate"`
		Allocatable string `json:"pv_allocatable"`
	}
	lvRow struct {
		UUID            string `json:"lv_uuid"`
		Name            string `json:"lv_name"`
		Size            string `json:"lv_size"`
		Tags            string `json:"lv_tags"`
		Pool            string `json:"pool_lv"`
		Data            string `json:"data_lv"`
		Origin          string `json:"origin"`
		Time            string `json:"lv_time"`
		Active          string `json:"lv_active"`
		Suspended       string `json:"lv_suspended"`
		Open            string `json:"lv_device_open"`
		Permissions     string `json:"lv_permissions"`
		SkipActivation  string `json:"lv_skip_activation"`
		Health          string `json:"lv_health_status"`
		CheckNeeded     string `json:"lv_check_needed"`
		DataPercent     string `json:"data_percent"`
		MetadataPercent string `json:"metadata_percent"`
		MetadataSize    string `json:"lv_metadata_size"`
		WhenFull        string `json:"lv_when_full"`
	}
	segRow struct {
		LV            string `json:"lv_uuid"`
		Start         string `json:"seg_start"`
		Type          string `json:"segtype"`
		Stripes       string `json:"stripes"`
		ChunkSize     string `json:"chunk_size"`
		TransactionID string `json:"transaction_id"`
	}
)

// parseReport reads fullreport's JSON. An entry without a group holds a physical volume in no group.
func parseReport(out []byte) (parsed, error) {
	var raw jsonReport
	if err := json.Unmarshal(out, &raw); err != nil {
		return parsed{}, err
	}
	if raw.Report == nil {
		return parsed{}, fmt.Errorf("no report in %d bytes of output", len(out))
	}
	var p parsed
	n := &numbers{}
	for _, g := range raw.Report {
		pvs := p.physicalVolumes(g.PV, n)
		if len(g.VG) == 0 {
			p.Unused = append(p.Unused, pvs...)
			continue
		}
		vg := volumeGroup(g.VG[0], n)
		vg.PVs, vg.LVs = pvs, logicalVolumes(g.LV, g.Seg, n)
		p.VolumeGroups = append(p.VolumeGroups, vg)
	}
	return p, n.err
}

func volumeGroup(r vgRow, n *numbers) VolumeGroup {
	return VolumeGroup{
		Name: r.Name, UUID: r.UUID, SystemID: r.SystemID, Seqno: n.whole("vg_seqno", r.Seqno), Tags: list(r.Tags),
		Size: n.bytes("vg_size", r.Size), Free: n.bytes("vg_free", r.Free), ExtentSize: n.bytes("vg_extent_size", r.ExtentSize),
		MetadataSize: n.bytes("vg_mda_size", r.MDASize), MetadataFree: n.bytes("vg_mda_free", r.MDAFree),
		Exported: r.Exported == "exported", Partial: r.Partial == "partial",
		MissingPVs: int(n.whole("vg_missing_pv_count", r.MissingPVs)),
	}
}

func (p *parsed) physicalVolumes(rows []pvRow, n *numbers) []PhysicalVolume {
	pvs := make([]PhysicalVolume, 0, len(rows))
	for _, r := range rows {
		pv := PhysicalVolume{
			Device: r.Name, UUID: r.UUID, Tags: list(r.Tags), Size: n.bytes("pv_size", r.Size), Free: n.bytes("pv_free", r.Free),
			Missing: r.Missing == "missing", Duplicate: r.Duplicate == "duplicate", Allocatable: r.Allocatable == "allocatable",
		}
		pvs = append(pvs, pv)
		if !pv.Missing {
			number := deviceNumber{uint32(n.whole("pv_major", r.Major)), uint32(n.whole("pv_minor", r.Minor))}
			p.numbers = append(p.numbers, number)
		}
	}
	return pvs
}

func logicalVolumes(rows []lvRow, segments []segRow, n *numbers) []LogicalVolume {
	first := map[string]segRow{} // by LV UUID; later segments may only repeat or extend it
	for _, s := range segments {
		if s.Start == "0" {
			first[s.LV] = s
		}
	}
	stripes := map[string]int{} // by LV name
	for _, r := range rows {
		stripes[unbracket(r.Name)] = max(1, int(n.whole("stripes", first[r.UUID].Stripes)))
	}
	lvs := make([]LogicalVolume, 0, len(rows))
	for _, r := range rows {
		lv := logicalVolume(r, first[r.UUID], n)
		lv.Stripes = stripes[lv.Name]
		if lv.Segment == ThinPool {
			lv.Stripes = max(1, stripes[unbracket(r.Data)])
		}
		lvs = append(lvs, lv)
	}
	return lvs
}

func logicalVolume(r lvRow, s segRow, n *numbers) LogicalVolume {
	lv := LogicalVolume{
		Name: unbracket(r.Name), UUID: r.UUID, Hidden: r.Name != unbracket(r.Name), Segment: Segment(s.Type),
		Size: n.bytes("lv_size", r.Size), Tags: list(r.Tags), Pool: unbracket(r.Pool), Origin: unbracket(r.Origin),
		Created: n.time("lv_time", r.Time), Active: r.Active == "active", Suspended: r.Suspended == "suspended",
		Open: r.Open == "open", ReadOnly: strings.HasPrefix(r.Permissions, "read-only"),
		SkipActive: r.SkipActivation == "skip activation", Health: health(r),
	}
	if lv.Segment == ThinPool {
		lv.MetadataSize = n.bytes("lv_metadata_size", r.MetadataSize)
		lv.MetadataUsed = n.share("metadata_percent", r.MetadataPercent, lv.MetadataSize)
		lv.ChunkSize = n.bytes("chunk_size", s.ChunkSize)
		lv.ErrorWhenFull = r.WhenFull == "error"
		lv.TransactionID = uint64(n.whole("transaction_id", s.TransactionID))
	}
	if lv.Segment == ThinPool || lv.Segment == Thin {
		lv.Mapped = n.share("data_percent", r.DataPercent, lv.Size)
	}
	return lv
}

// health puts a needed check above what follows from it, that the metadata is read-only; nothing is worse than failed.
func health(r lvRow) Health {
	if r.CheckNeeded == "check needed" && Health(r.Health) != Failed {
		return NeedsCheck
	}
	return Health(r.Health)
}

// markDuplicates marks the physical volumes whose UUID another device carries too.
func (p *parsed) markDuplicates(uuids []string) {
	for _, uuid := range uuids {
		mark(p.Unused, uuid)
		for _, vg := range p.VolumeGroups {
			mark(vg.PVs, uuid)
		}
	}
}

func mark(pvs []PhysicalVolume, uuid string) {
	for i := range pvs {
		if pvs[i].UUID == uuid && !pvs[i].Missing {
			pvs[i].Duplicate = true
		}
	}
}

// list splits a list of tags, which cannot contain commas.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// unbracket takes off the brackets that lvs puts round hidden volumes (report/mark_hidden_devices).
func unbracket(name string) string {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return name
}

// numbers reads numbers and keeps the first error. A number that LVM does not know is 0.
type numbers struct{ err error }

func (n *numbers) whole(field, s string) int64 {
	if s == "" || s == "-1" || s == "unknown" {
		return 0
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v < 0 {
		n.fail(field, s)
		return 0
	}
	return v
}

func (n *numbers) bytes(field, s string) Bytes { return Bytes(n.whole(field, s)) }

// time reads seconds since the epoch (report/time_format is %s).
func (n *numbers) time(field, s string) time.Time {
	if v := n.whole(field, s); v > 0 {
		return time.Unix(v, 0)
	}
	return time.Time{}
}

// share reads a percentage with two decimals and returns that part of whole. LVM rounds to the nearest, but shows 0.00
// only for nothing and 100.00 only for all (dm_make_percent).
func (n *numbers) share(field, s string, whole Bytes) Bytes {
	if s == "" || s == "-1" || s == "unknown" {
		return 0
	}
	units, decimals, _ := strings.Cut(s, ".")
	hundredths, err := strconv.ParseUint(units+(decimals + "00")[:2], 10, 16)
	if err != nil || units == "" || hundredths > 10000 || len(decimals) > 2 {
		n.fail(field, s)
		return 0
	}
	h := Bytes(hundredths)
	return whole/10000*h + whole%10000*h/10000
}

func (n *numbers) fail(field, s string) {
	if n.err == nil {
		n.err = fmt.Errorf("%s: %.40q is not what LVM writes there", field, s)
	}
}
