package pool

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/loam-storage/loam/bench"
	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
	"golang.org/x/sys/unix"
)

// openRaw makes a place of the linear volume's own extents, reached on the disk itself, past device-mapper. Where there is no such
// volume, or it is in pieces, disks are only read.
func (s *site) openRaw(ctx context.Context, c choice, places map[string]*bench.Place) error {
	if !c.has(linear) {
		return s.readRaw(places, "nothing of it is free to be written: "+c.skipped[linear])
	}
	const name = prefix + "linear"
	extent, err := s.lvm.Extent(s.group.Name, name)
	if errors.Is(err, lvm.ErrPieces) {
		return s.readRaw(places, "what is free of it is in pieces")
	}
	if err != nil {
		return err
	}
	disk, err := s.diskOf(extent)
	if err != nil {
		return err
	}
	volume := places[linear].Path
	places[raw] = &bench.Place{
		Path: disk, Offset: extent.Start, Size: s.Profile.Size, Device: s.disk, Major: extent.Major, Minor: extent.Minor, Shared: true, Refuses: past,
		Before: func(context.Context) (func() error, error) {
			now, err := s.lvm.Extent(s.group.Name, name)
			if err == nil && now != extent {
				err = fmt.Errorf("%s was moved: it is not written any more where it was", volume)
			}
			if err == nil {
				err = prove(volume, disk, extent)
			}
			return func() error { return nil }, err
		},
	}
	return nil
}

// readRaw makes a place of the beginning of the first disk.
func (s *site) readRaw(places map[string]*bench.Place, why string) error {
	disk := s.pool.Devices[0]
	size, err := device.Size(disk)
	if err != nil {
		return err
	}
	number, err := numberOf(disk)
	if err != nil {
		return err
	}
	places[raw] = &bench.Place{
		Path: disk, Size: min(size, s.Profile.Size), Device: s.disk, Major: unix.Major(number), Minor: unix.Minor(number), Shared: true,
		ReadOnly: why,
	}
	return nil
}

// diskOf is the path of the disk that an extent is on.
func (s *site) diskOf(e lvm.Extent) (string, error) {
	for _, path := range s.pool.Devices {
		number, err := numberOf(path)
		if err != nil {
			return "", err
		}
		if e.Is(number) {
			return path, nil
		}
	}
	return "", fmt.Errorf("a volume is on the device %d:%d, which is none of the pool's disks", e.Major, e.Minor)
}

func numberOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return st.Rdev, nil
}

// mark is what prove writes at once: a page, so that nothing of it is read first.
const mark = 4 * lvm.KiB

// prove writes noise to both ends of a volume and finds it where the disk is said to have them. Whoever writes there then writes that
// volume and no other.
func prove(volume, disk string, extent lvm.Extent) error {
	f, err := os.OpenFile(volume, os.O_WRONLY|unix.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := device.Open(disk)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, at := range []lvm.Bytes{0, extent.Size - mark} {
		noise := make([]byte, mark)
		_, _ = rand.Read(noise) // never fails
		if _, err := f.WriteAt(noise, int64(at)); err != nil {
			return err
		}
		found, err := d.Read(extent.Start+at, extent.Start+at+mark)
		if err != nil {
			return err
		}
		if !bytes.Equal(found, noise) {
			return fmt.Errorf("%s does not have the bytes of %s at byte %d: it is not written there", disk, volume, extent.Start+at)
		}
	}
	return nil
}
