package lvm

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What tests outside the package need: the raw report, for captures, and the settings, for LVM's own opinion of them.

func (l *LVM) RawReport() ([]byte, error) { return l.run(reportArgs()) }

const Settings = settings

func Fsync(device string) error { return fsync(device) }

// OnFlush replaces fsync.
func (l *LVM) OnFlush(flush func(device string) error) { l.flush = flush }

// Ask is the report of LVM itself, and Read the one that is read natively.
func (l *LVM) Ask() (Report, error) {
	if len(l.allowed()) == 0 {
		return Report{}, nil
	}
	return l.ask(l.allowed())
}

// Read is by a reader that has read nothing before: of a device that does not answer it has nothing to be compared.
func (l *LVM) Read() (Report, error) {
	r := newReader(&l.asked)
	report, err := r.report(l.allowed())
	for path, d := range r.disks {
		if err == nil && d.silent {
			err = fmt.Errorf("%s %w", path, ErrSilent)
		}
	}
	return report, err
}

// Metadata is what a device carries: its label and the headers of its metadata areas, and the text in them.
func Metadata(path string) (heads, text []byte, err error) {
	fd, err := openDirect(path)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	var d disk
	if err := d.readHeads(fd); err != nil {
		return nil, nil, err
	}
	text, err = d.readText(fd)
	return d.heads, text, err
}
