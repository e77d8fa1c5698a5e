package lvm

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// reportArgs asks for everything in one process. --foreign also shows groups of other hosts (lvmsystemid(7)), which
// would be missing without a word.
func reportArgs() []string {
	args := []string{"fullreport", "--reportformat", "json", "--units", "b", "--nosuffix", "--all", "--foreign"}
	for _, section := range [][2]string{
		{"vg", "vg_uuid,vg_name,vg_sysid,vg_seqno,vg_tags,vg_size,vg_free,vg_extent_size,vg_mda_size,vg_mda_free,vg_exported,vg_partial,vg_missing_pv_count"},
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

// Report is what LVM knows now of the allowed devices; with no device allowed it is empty. On a healthy machine no process
// runs for it: see reader. It waits a while for changes to end, also those of others (flock(2)). A caller may leave with
// its context; the reading goes on. Only one does at a time: callers that come meanwhile share the next one, so that no
// report is older than its call.
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

// flight is one report and its outcome, which may be read once done is closed.
type flight struct {
	done   chan struct{}
	report Report
	err    error
}

// flights are the report that is being made, if any, and the one that callers wait for.
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

// report reads natively what can be vouched for, and otherwise asks LVM.
func (l *LVM) report() (Report, error) {
	l.mu.Lock()
	devices, changes := l.devices, l.changes
	l.mu.Unlock()
	if len(devices) == 0 {
		return Report{}, nil
	}
	report, err := l.reader.report(devices)
	l.mu.Lock()
	l.silent, l.hung = l.reader.unanswering(), maps.Clone(l.reader.hung)
	l.mu.Unlock()
	if err != nil {
		report, err = l.ask(l.allowed())
		report.VolumeGroups = append(report.VolumeGroups, l.reader.hanging()...)
	}
	if err != nil {
		return Report{}, err
	}
	l.learn(report, changes)
	return report, nil
}

// ask has LVM make the report.
func (l *LVM) ask(devices []string) (Report, error) {
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
// are not LVM's and those that LVM passed over because another carries the same UUID; it says so only in a warning. What
// cannot be read is left out: this only ever adds to what LVM reported.
func labels(devices []string, reported []deviceNumber) []string {
	var uuids []string
	for _, path := range devices {
		if number, uuid, err := identify(path); err == nil && uuid != "" && !slices.Contains(reported, number) {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}

func identify(path string) (number deviceNumber, uuid string, err error) {
	fd, err := openDirect(path)
	if err != nil {
		return number, "", err
	}
	defer unix.Close(fd)
	if number, err = numberOf(fd); err != nil {
		return number, "", err
	}
	head, err := readDirect(fd, location{0, labelSectors * uint64(Sector)})
	if err != nil {
		return number, "", err
	}
	l, _, err := parseLabel(head)
	return number, l.uuid, err
}
