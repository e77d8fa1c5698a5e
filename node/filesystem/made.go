package filesystem

import (
	"fmt"

	"github.com/loam-storage/loam/node/device"
)

// rereads is how often a superblock is read whose checksum does not hold: a mounted ext4's may be read while the kernel
// changes it (e2fsprogs does the same, lib/ext2fs/openfs.c).
const rereads = 3

// Made says whether a device holds a file system of that type and UUID whose mkfs was not interrupted, and if so, flushes
// it: the mkfs may have been another's, who had no time to. Errors: the kernel's, when the device cannot be read.
func Made(path string, t Type, uuid string) (bool, error) {
	var s superblock
	for range rereads {
		var err error
		if s, err = readSuperblock(path); err != nil {
			return false, err
		}
		if s.whole {
			break
		}
	}
	if !s.isFinished(t, uuid) {
		return false, nil
	}
	return true, flush(path)
}

func (s superblock) isFinished(t Type, uuid string) bool {
	return s.kind == t && s.uuid == uuid && s.finished && s.whole
}

func flush(path string) error {
	d, err := device.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Flush(); err != nil {
		return fmt.Errorf("flushing %s: %w", path, err)
	}
	return nil
}
