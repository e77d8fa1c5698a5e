package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Disk is one disk of the guest: a blank one of Size bytes that is forgotten, or the file Image, written in place.
type Disk struct {
	Size  int64
	Image string
}

// ParseSize reads a size as truncate(1) and qemu-img do: an integer with an optional K, M, G or T, powers of 1024.
func ParseSize(s string) (int64, error) {
	number, shift := s, 0
	for i, unit := range []string{"K", "M", "G", "T"} {
		if rest, ok := strings.CutSuffix(s, unit); ok {
			number, shift = rest, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)>>shift {
		return 0, fmt.Errorf("%q is not a size: give a positive number with K, M, G or T, as in 512M", s)
	}
	return n << shift, nil
}

// ParseDisks reads what --disks takes: SIZE, COUNTxSIZE, or several of these with commas between.
func ParseDisks(s string) ([]Disk, error) {
	var disks []Disk
	for part := range strings.SplitSeq(s, ",") {
		count, size := 1, part
		if before, after, ok := strings.Cut(part, "x"); ok {
			n, err := strconv.Atoi(before)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q is not a number of disks, as in 3x2G", before)
			}
			count, size = n, after
		}
		bytes, err := ParseSize(size)
		if err != nil {
			return nil, err
		}
		if bytes%512 != 0 {
			return nil, fmt.Errorf("a disk of %d bytes is no whole number of 512-byte sectors", bytes)
		}
		for range count {
			disks = append(disks, Disk{Size: bytes})
		}
	}
	return disks, nil
}

// openDisks opens the disks' files. Blank ones are sparse and have no name, so that nothing of them can stay behind; they are in folder,
// or in os.TempDir for "".
func openDisks(folder string, disks []Disk) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
		}
	}()
	for _, disk := range disks {
		file, err := openDisk(folder, disk)
		if err != nil {
			return files, fmt.Errorf("disk: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

func openDisk(folder string, disk Disk) (*os.File, error) {
	if disk.Image != "" {
		return openImage(disk.Image)
	}
	file, err := openNameless(folder, "guest-disk-*")
	if err != nil {
		return nil, err
	}
	return file, file.Truncate(disk.Size)
}

// openNameless makes a file that is gone once it is closed, in os.TempDir for no folder.
func openNameless(folder, pattern string) (*os.File, error) {
	file, err := os.CreateTemp(folder, pattern)
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}

// openImage opens a disk image and keeps two guests from writing to the same one.
func openImage(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("%s is in use by another guest: %w", path, err)
	}
	return file, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}
