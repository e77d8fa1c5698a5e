package bench

import (
	"context"
	"fmt"

	"github.com/loam-storage/loam/lvm"
	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
)

// saturated is how busy all processors, or the one that the engine runs on, may be before they are what is measured.
const saturated = 0.95

// traffic is what the kernel counted for a block device (Documentation/admin-guide/iostats.rst), and for the processors (proc_stat(5)).
type traffic struct {
	moved      lvm.Bytes // read and written
	known      bool      // whether the device is counted
	busy, idle float64   // seconds of all processors
}

// measure runs a job once, and holds what the engine says against what the kernel counted.
func measure(ctx context.Context, e Engine, place *Place, s Spec) (Measurement, error) {
	before, err := count(place)
	if err != nil {
		return Measurement{}, err
	}
	m, err := e.Run(ctx, s)
	if err != nil {
		return m, err
	}
	after, err := count(place)
	if err != nil {
		return m, err
	}
	if all := after.busy + after.idle - before.busy - before.idle; all > 0 {
		m.Busy = (after.busy - before.busy) / all
	}
	m.Unchecked = !before.known || !after.known
	if m.Unchecked {
		return m, nil
	}
	return m, honest(place, s, m, after.moved-before.moved)
}

// ofItself is what a file system may write of its own in a second: its journal, inodes' times, what else is on it.
const ofItself = 512 * lvm.KiB

// honest says why a measurement is not to be believed: the device moved more than 1 % less than the engine says, or more. Writing
// through the page cache moves whole pages and the journal, so only too little of it is wrong.
func honest(place *Place, s Spec, m Measurement, moved lvm.Bytes) error {
	slack := m.All / 100
	most := m.All + slack
	if place.File {
		most += lvm.Bytes(float64(ofItself) * (1 + (m.Elapsed + s.WarmUp).Seconds()))
	}
	switch {
	case moved < m.All-slack:
		return fmt.Errorf("%s: the job moved %v, and by the kernel's counters the device only %v: the rest was memory, as where something caches below",
			place.Path, m.All, moved)
	case moved > most && !s.Job.Sync && !place.Shared:
		return fmt.Errorf("%s: the job moved %v, and by the kernel's counters the device %v: something else uses it, or memory is in between", place.Path, m.All, moved)
	}
	return nil
}

// count reads the counters of now.
func count(place *Place) (traffic, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return traffic{}, err
	}
	stat, err := proc.Stat()
	if err != nil {
		return traffic{}, fmt.Errorf("reading /proc/stat: %w", err)
	}
	c := stat.CPUTotal // User and Nice have the guests' time in them
	t := traffic{idle: c.Idle + c.Iowait, busy: c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal}
	if place.Major == 0 {
		return t, nil
	}
	fs, err := blockdevice.NewDefaultFS()
	if err != nil {
		return traffic{}, err
	}
	disks, err := fs.ProcDiskstats()
	if err != nil {
		return traffic{}, fmt.Errorf("reading /proc/diskstats: %w", err)
	}
	for _, d := range disks {
		if d.MajorNumber == place.Major && d.MinorNumber == place.Minor {
			t.known, t.moved = true, lvm.Bytes(d.ReadSectors+d.WriteSectors)*lvm.Sector
		}
	}
	return t, nil
}
