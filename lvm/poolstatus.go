package lvm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// metadataBlock is the unit of a thin pool's metadata (kernel: drivers/md/dm-thin-metadata.h).
const metadataBlock = 4 * KiB

// Usage reads how much of an active thin pool is in use from the kernel, without a process and without waiting for any lock of
// LVM: it costs a few microseconds. Errors: ErrNoDevice, also for a volume that is no thin pool; ErrSilent; ErrName.
func (l *LVM) Usage(vg, pool string) (Usage, error) {
	if err := CheckVolume(vg, pool); err != nil {
		return Usage{}, err
	}
	m, err := l.status(deviceName(vg, pool) + "-tpool")
	if err != nil {
		return Usage{}, fmt.Errorf("%s/%s: %w", vg, pool, err)
	}
	if len(m.targets) != 1 || m.targets[0].kind != string(ThinPool) {
		return Usage{}, fmt.Errorf("%s/%s: %w: another table than a thin pool has", vg, pool, ErrNoDevice)
	}
	s, err := parsePoolStatus(m.targets[0].status)
	return Usage{
		Data: s.data.of(m.size()), Size: m.size(), Health: s.health,
		Metadata: Bytes(s.metadata.part) * metadataBlock, MetadataSize: Bytes(s.metadata.whole) * metadataBlock,
	}, err
}

// poolStatus is the status of a thin pool's target.
type poolStatus struct {
	health         Health
	transaction    uint64
	metadata, data share // in blocks
}

// share is a part of a whole.
type share struct{ part, whole uint64 }

// of is that part of a size, rounded down.
func (s share) of(size Bytes) Bytes {
	if s.whole == 0 {
		return 0
	}
	unit, rest := uint64(size)/s.whole, uint64(size)%s.whole
	return Bytes(unit*s.part + rest*s.part/s.whole)
}

// parsePoolStatus reads "<transaction id> <used>/<all metadata blocks> <used>/<all data blocks> <held root or -> <rw, ro or
// out_of_data_space> <options> <error_ or queue_if_no_space> <needs_check or -> <mark>", or "Fail" or "Error" when the pool
// failed (kernel: Documentation/admin-guide/device-mapper/thin-provisioning.rst).
func parsePoolStatus(status string) (poolStatus, error) {
	words := strings.Fields(status)
	if len(words) > 0 && (words[0] == "Fail" || words[0] == "Error") {
		return poolStatus{health: Failed}, nil
	}
	var s poolStatus
	var err error
	if len(words) < 5 {
		return s, fmt.Errorf("status of a thin pool: %.80q: %w", status, errUnsure)
	}
	if s.transaction, err = strconv.ParseUint(words[0], 10, 64); err == nil {
		if s.metadata, err = parseShare(words[1]); err == nil {
			s.data, err = parseShare(words[2])
		}
	}
	if err != nil {
		return s, fmt.Errorf("status of a thin pool: %w: %w", err, errUnsure)
	}
	switch {
	case slices.Contains(words[5:], "needs_check"):
		s.health = NeedsCheck
	case slices.Contains(words[4:], "out_of_data_space"):
		s.health = OutOfData
	case slices.Contains(words[4:], "ro"):
		s.health = MetadataReadOnly
	}
	return s, nil
}

func parseShare(s string) (share, error) {
	part, whole, _ := strings.Cut(s, "/")
	p, err := strconv.ParseUint(part, 10, 48)
	w, err2 := strconv.ParseUint(whole, 10, 48)
	if err != nil || err2 != nil || p > w {
		return share{}, fmt.Errorf("%.40q is not a part of a whole", s)
	}
	return share{p, w}, nil
}
