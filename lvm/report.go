package lvm

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// reportArgs asks for everything in one process. --foreign also shows groups of other hosts (lvmsystemid(7)), which
// would be missing without a word.
func reportArgs() []string {
	args := []string{"fullreport", "--reportformat", "json", "--units", "b", "--nosuffix", "--all", "--foreign"}
	for _, section := range [][2]string{
		{"vg", "vg_uuid,vg_name,vg_sysid,vg_tags,vg_size,vg_free,vg_extent_size,vg_mda_size,vg_mda_free,vg_exported,vg_partial,vg_missing_pv_count"},
		{"pv", "pv_uuid,pv_name,pv_major,pv_minor,pv_tags,pv_size,pv_free,pv_missing,pv_duplicate,pv_allocatable"},
		{"lv", "lv_uuid,lv_name,lv_size,lv_tags,pool_lv,data_lv,origin,lv_time,lv_active,lv_suspended,lv_device_open,lv_permissions," +
			"lv_skip_activation,lv_health_status,lv_check_needed,data_percent,metadata_percent,lv_metadata_size,lv_when_full"},
		{"pvseg", "pvseg_start"}, // the least that can be asked for
		{"seg", "lv_uuid,seg_start,segtype,stripes,chunk_size,transaction_id"},
	} {
		args = append(args, "--configreport", section[0], "--options", section[1])
	}
	return args
}

// Report is what LVM knows now of the allowed devices, read in one process; with no device allowed it is empty and no
// process runs. A caller may leave with its context; the process runs on. At most one does: callers that come meanwhile
// share the next one, so that no report is older than its call.
func (l *LVM) Report(ctx context.Context) (Report, error) {
	if err := ctx.Err(); err != nil {
		return Report{}, err
	}
	f := l.board()
	select {
	case <-f.done:
		return f.report.clone(), f.err
	case <-ctx.Done():
		return Report{}, fmt.Errorf("waiting for LVM's report: %w", ctx.Err())
	}
}

// flight is one report process and its outcome, which may be read once done is closed.
type flight struct {
	done   chan struct{}
	report Report
	err    error
}

// flights are the report process that runs, if any, and the one that callers wait for.
type flights struct {
	running bool
	next    *flight
}

// board joins the next flight, and sees to it that it departs.
func (l *LVM) board() *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reports.next == nil {
		l.reports.next = &flight{done: make(chan struct{})}
	}
	f := l.reports.next
	if !l.reports.running {
		l.reports.running = true
		l.running.Go(l.fly)
	}
	return f
}

// fly runs reports as long as somebody boards.
func (l *LVM) fly() {
	for {
		l.mu.Lock()
		f := l.reports.next
		l.reports.next = nil
		l.reports.running = f != nil
		l.mu.Unlock()
		if f == nil {
			return
		}
		f.report, f.err = l.report()
		close(f.done)
	}
}

func (l *LVM) report() (Report, error) {
	l.mu.Lock()
	devices, changes := l.devices, l.changes
	l.mu.Unlock()
	if len(devices) == 0 {
		return Report{}, nil
	}
	out, err := l.run(reportArgs())
	if err != nil {
		return Report{}, err
	}
	p, err := parseReport(out)
	if err != nil {
		return Report{}, fmt.Errorf("LVM's report: %w", err)
	}
	p.markDuplicates(labels(devices, p.numbers))
	l.learn(p.Report, changes)
	return p.Report, nil
}

// learn notes each group's devices, unless a command has changed them since the report began.
func (l *LVM) learn(r Report, changes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changes != changes {
		return
	}
	clear(l.members)
	for _, vg := range r.VolumeGroups {
		var devices []string
		for _, pv := range vg.PVs {
			if !pv.Missing {
				devices = append(devices, pv.Device)
			}
		}
		l.members[vg.Name] = append(l.members[vg.Name], devices...)
	}
}

// labels reads the PV UUIDs of the allowed devices that LVM did not report as physical volumes, which are those that
// are not LVM's and those that LVM passed over because another carries the same UUID; it says so only in a warning.
func labels(devices []string, reported []deviceNumber) []string {
	var uuids []string
	for _, path := range devices {
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			continue
		}
		number := deviceNumber{unix.Major(st.Rdev), unix.Minor(st.Rdev)}
		if slices.Contains(reported, number) {
			continue
		}
		if uuid := readLabel(path); uuid != "" {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}

// readLabel returns "" for a device that has no label or cannot be read: it only ever adds to what LVM reported.
func readLabel(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, labelSectors*int(Sector))
	if _, err := f.ReadAt(head, 0); err != nil {
		return ""
	}
	return parseLabel(head)
}

// labelSectors is where LVM looks for its label (lvm2 format_text/layout.h: LABEL_SCAN_SECTORS).
const labelSectors = 4

// parseLabel finds the PV UUID in a device's first sectors: "LABELONE", the label's sector number, CRC and offset of its
// contents, "LVM2 001"; the contents begin with the UUID without dashes.
func parseLabel(head []byte) string {
	for ; len(head) >= int(Sector); head = head[Sector:] {
		if string(head[:8]) != "LABELONE" || string(head[24:32]) != "LVM2 001" {
			continue
		}
		offset := int(head[20]) | int(head[21])<<8
		if offset < 32 || offset+32 > int(Sector) {
			return ""
		}
		return dashed(string(head[offset : offset+32]))
	}
	return ""
}

// dashed writes a UUID of 32 characters as LVM does: 6-4-4-4-4-4-6. Anything else becomes "".
func dashed(uuid string) string {
	if len(uuid) != 32 || strings.ContainsFunc(uuid, func(r rune) bool { return !letterOrDigit(r) && r != '!' && r != '#' }) {
		return ""
	}
	return strings.Join([]string{uuid[:6], uuid[6:10], uuid[10:14], uuid[14:18], uuid[18:22], uuid[22:26], uuid[26:]}, "-")
}
