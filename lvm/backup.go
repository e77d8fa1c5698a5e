package lvm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// backups is how many copies of a group's metadata are kept besides the newest: as many as LVM keeps of its own at least.
const backups = 10

// Backup is a copy of a group's metadata as text, which vgcfgrestore(8) and pvck(8) take.
type Backup struct {
	Path    string
	Change  int64 // counts the group's changes (seqno)
	Created time.Time
	Volumes int // how many logical volumes the group had, without pools and their parts
	group   VolumeGroup
	members []member
}

// member is a physical volume as a group's metadata know it.
type member struct {
	uuid, device string // device is where it was when the metadata were written
	size         Bytes  // of the device
}

// backupAge is how much older than a change the last copy is that is kept beside the newest.
const backupAge = time.Minute

// BackUp sees to it that BackupDir has a group's metadata as of a change (VolumeGroup.Seqno), and keeps older copies: one for
// each minute with changes, the last ten. LVM writes the newest with each change that is made here; a command runs only after somebody
// else's. A group that is being changed is left for the next time. Names of groups have no "~".
func (l *LVM) BackUp(vg string, change int64) error {
	if err := CheckGroup(vg); err != nil {
		return err
	}
	lock := l.group(vg)
	if l.options.BackupDir == "" || !lock.TryLock() {
		return nil
	}
	defer lock.Unlock()
	if l.isBackedUp(vg, change) {
		return nil
	}
	newest := filepath.Join(l.options.BackupDir, vg)
	if there, err := changeOf(newest); err != nil || there != change {
		if err := l.changeLocked(vg, backUpArgs(vg)); err != nil {
			return err
		}
		if change, err = changeOf(newest); err != nil {
			return err
		}
	}
	if err := l.keepBackup(vg, change); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backedUp[vg] = change
	return nil
}

func (l *LVM) isBackedUp(vg string, change int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backedUp[vg] == change
}

// keepBackup keeps what LVM has written to BackupDir, so that it is not overwritten, and as many before it as are to be kept.
func (l *LVM) keepBackup(vg string, change int64) error {
	newest := filepath.Join(l.options.BackupDir, vg)
	name := func(change int64) string { return fmt.Sprintf("%s~%d", newest, change) }
	old, err := backupNumbers(l.options.BackupDir, vg)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		last, err := os.Stat(name(old[len(old)-1]))
		if err == nil && time.Since(last.ModTime()) < backupAge {
			return nil
		}
	}
	if err := os.Link(newest, name(change)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for ; len(old) >= backups; old = old[1:] {
		if err := os.Remove(name(old[0])); err != nil {
			return err
		}
	}
	return nil
}

// backupNumbers are the changes of which a copy is kept, the oldest first.
func backupNumbers(dir, vg string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []int64
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), vg+"~"); ok {
			if n, err := strconv.ParseInt(rest, 10, 64); err == nil {
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return all, nil
}

// changeOf finds a backup's seqno without reading all of it: it is among the first entries of the group's section, behind
// comments and a description of some KiB.
func changeOf(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := f.Read(head)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(head[:n]), "\n\tseqno = ")
	number, _, _ := strings.Cut(rest, "\n")
	change, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: no seqno: %w", path, errDamaged)
	}
	return change, nil
}

// Backups are the copies that there are of a group's metadata, the newest first; damaged ones are left out.
func (l *LVM) Backups(vg string) ([]Backup, error) {
	if err := CheckGroup(vg); err != nil {
		return nil, err
	}
	dir := l.options.BackupDir
	numbers, err := backupNumbers(dir, vg)
	if err != nil {
		return nil, err
	}
	paths := []string{filepath.Join(dir, vg)}
	for _, n := range slices.Backward(numbers) {
		paths = append(paths, fmt.Sprintf("%s~%d", paths[0], n))
	}
	var all []Backup
	for _, path := range paths {
		b, err := readBackup(path)
		if err == nil && b.group.Name == vg && !slices.ContainsFunc(all, func(other Backup) bool { return other.Change == b.Change }) {
			all = append(all, b)
		}
	}
	return all, nil
}

// Lost is the group as a report would show it if LVM could see any of its physical volumes: all of them missing.
func (b Backup) Lost() VolumeGroup {
	vg := Report{VolumeGroups: []VolumeGroup{b.group}}.clone().VolumeGroups[0]
	vg.Partial, vg.MissingPVs = true, len(vg.PVs)
	for i := range vg.PVs {
		vg.PVs[i].Device, vg.PVs[i].Missing = "[unknown]", true
	}
	for i := range vg.LVs {
		vg.LVs[i].Health = PartialLV
	}
	return vg
}

// LastBackup is the newest copy that there is of a group's metadata.
func (l *LVM) LastBackup(vg string) (Backup, bool) {
	if CheckGroup(vg) == nil {
		b, err := readBackup(filepath.Join(l.options.BackupDir, vg))
		if err == nil && b.group.Name == vg {
			return b, true
		}
	}
	all, err := l.Backups(vg)
	if err != nil || len(all) == 0 {
		return Backup{}, false
	}
	return all[0], true
}

func readBackup(path string) (Backup, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Backup{}, err
	}
	b, err := parseBackup(text)
	if err != nil {
		return Backup{}, fmt.Errorf("%s: %w", path, err)
	}
	b.Path = path
	return b, nil
}

// parseBackup reads a group's metadata, from a file or from a device.
func parseBackup(text []byte) (Backup, error) {
	group, err := parseMetadata(text)
	if err != nil {
		return Backup{}, err
	}
	root, err := parseText(text)
	if err != nil {
		return Backup{}, err
	}
	f := fields{}
	s := root.sections[root.order[0]]
	b := Backup{group: group, Change: f.number(s, "seqno"), Created: time.Unix(f.number(root, "creation_time"), 0)}
	for _, lv := range group.LVs {
		if !lv.Hidden && lv.Segment != ThinPool {
			b.Volumes++
		}
	}
	pvs := f.section(s, "physical_volumes")
	for _, key := range pvs.order {
		pv := pvs.sections[key]
		b.members = append(b.members, member{f.uuid(pv), f.text(pv, "device"), Bytes(f.number(pv, "dev_size")) * Sector})
	}
	return b, f.err
}
