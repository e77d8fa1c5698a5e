package lvm

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Restoration is how the metadata of a group's devices can be made what they were, with pvck(8).
type Restoration struct {
	Backup   Backup          // the newest
	Devices  []RestoreDevice // of the group
	Commands []string        // for a shell, in that order; none when nothing has to be done
}

// RestoreDevice is a physical volume that the group should have.
type RestoreDevice struct {
	Device string // "" when it was not found
	UUID   string
	Change int64  // that its metadata are of (VolumeGroup.Seqno); 0 when they cannot be read, or it holds none
	Found  string // for people
	Repair bool
}

// PlanRestore compares what devices hold of a group's metadata with the newest backup, and changes nothing. Metadata that can still
// be read on one of the devices are preferred to a backup that is not newer. Errors: none readable; ErrNoBackup.
func (l *LVM) PlanRestore(vg string, devices []string) (Restoration, error) {
	all, err := l.Backups(vg)
	if err != nil {
		return Restoration{}, err
	}
	if len(all) == 0 {
		return Restoration{}, fmt.Errorf("%s has none of volume group %s: %w", l.options.BackupDir, vg, ErrNoBackup)
	}
	r := restoring{backup: all[0], at: map[string]inspected{}}
	for _, path := range devices {
		r.at[path] = inspect(path)
	}
	return r.plan(), nil
}

// ErrNoBackup says that there is no copy of a group's metadata.
var ErrNoBackup = errors.New("no backup of its metadata")

// inspected is what of a device could be read.
type inspected struct {
	disk
	change int64
	real   string // path without symbolic links
	err    error
}

func inspect(path string) (d inspected) {
	if d.real, d.err = filepath.EvalSymlinks(path); d.err != nil {
		return d
	}
	fd, err := openDirect(path)
	if err != nil {
		d.err = err
		return d
	}
	defer unix.Close(fd)
	if d.err = d.readHeads(fd); d.err == nil && d.uuid != "" {
		d.err = d.readMetadata(fd)
	}
	if d.err == nil && d.hasGroup() {
		var b Backup
		b, d.err = parseBackup(d.text)
		d.change = b.Change
	}
	return d
}

type restoring struct {
	backup Backup
	at     map[string]inspected // by path
}

func (r restoring) plan() Restoration {
	plan := Restoration{Backup: r.backup}
	newest, from := r.backup.Change, ""
	for _, m := range r.backup.members {
		d := r.find(m)
		plan.Devices = append(plan.Devices, d)
		if d.Device != "" && d.Change >= newest {
			newest, from = d.Change, d.Device
		}
	}
	file := r.backup.Path
	if from != "" {
		file = r.backup.Path + ".from-disk"
	}
	for i := range plan.Devices {
		r.judge(&plan.Devices[i], newest, from)
	}
	for _, d := range plan.Devices {
		if d.Repair {
			plan.Commands = append(plan.Commands, fmt.Sprintf("pvck --repair --yes --file %s --settings pv_uuid=%s %s", quoted(file), d.UUID, quoted(d.Device)))
		}
	}
	if from != "" && len(plan.Commands) > 0 {
		plan.Commands = append([]string{fmt.Sprintf("pvck --dump metadata --file %s %s", quoted(file), quoted(from))}, plan.Commands...)
	}
	return plan
}

// find is the device that carries a physical volume, or that carried it when the backup was made and has no readable label now.
func (r restoring) find(m member) RestoreDevice {
	at := ""
	for path, d := range r.at {
		switch {
		case d.uuid == m.uuid:
			at = path
		case at == "" && d.uuid == "" && (path == m.device || d.real == m.device):
			at = path
		}
	}
	d := r.at[at]
	found := RestoreDevice{Device: at, UUID: m.uuid, Change: d.change}
	switch {
	case at == "":
		found.Found = "not there; it was " + m.device
	case d.err != nil:
		found.Found = strings.TrimSuffix(d.err.Error(), ": "+errDamaged.Error()) + " cannot be read"
	case d.uuid == "":
		found.Found = "no label of a physical volume"
	case len(d.areas) == 0:
		found.Found = "holds no metadata, as it should"
	case !d.hasGroup():
		found.Found = "no metadata"
	case d.group.UUID != r.backup.group.UUID:
		found.Found, found.Device, found.Change = "belongs to another group, "+d.group.Name, "", 0
	default:
		found.Found = fmt.Sprintf("metadata of change %d", d.change)
	}
	return found
}

// judge says whether a device has to be repaired: it cannot be read, or is not as new as the others. A backup's text is not
// byte for byte what is on the devices, so that with one all have to be written.
func (r restoring) judge(d *RestoreDevice, newest int64, from string) {
	if d.Device == "" {
		return
	}
	here := r.at[d.Device]
	bare := here.err == nil && here.uuid != "" && len(here.areas) == 0
	same := from != "" && bytes.Equal(here.text, r.at[from].text)
	d.Repair = !bare && (from == "" || d.Change < newest || !same)
}

// quoted is a word for a shell.
func quoted(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return !letterOrDigit(c) && !strings.ContainsRune("/._-~:+", c) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
