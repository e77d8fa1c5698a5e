package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/loam-storage/loam/lvm"
	"golang.org/x/sys/unix"
)

// Place is where jobs run: a file that Open made, or a block device.
type Place struct {
	Name   string    // the stage's
	Path   string    // of the file or device
	Size   lvm.Bytes // of what may be read and written
	Device string    // what the disk is, for people; "" where that is not known
	File   bool      // on a file system, which writes a little of its own
	// ReadOnly says why nothing may be written there, for people; "" when it may.
	ReadOnly string
	Warning  string // what could not be checked, for people; "" when there is nothing
	// Major and Minor are the block device whose counters tell what really moved; 0, 0: nobody knows, as with a file system over several.
	Major, Minor uint32

	// The rest is for places that others make than Open.

	Offset   lvm.Bytes        // where what may be read and written begins
	Shared   bool             // others' reads and writes are among what the counters say
	Once     bool             // each block is reached once in a run, and none before: the first time is what is measured
	Chunk    lvm.Bytes        // with Once: what the first block that reaches it costs more than the others; jobs in random order reach each once
	Baseline string           // of the stage: the place that its cost is a ratio of
	Refuses  func(Job) string // why a job is not to be run there, for people; "" when it is; nil: all are
	// Before makes the place ready for one run, and returns what ends that, whatever became of the run; nil: it is always ready.
	Before func(context.Context) (after func() error, err error)

	remove func() error
}

// Wanted is a place as a person names it.
type Wanted struct {
	Path string    // a folder, for whatever its file system is on, or a block device
	Size lvm.Bytes // of the file; of a device as much as it has, if that is less
	// Serial confirms that a blank block device may be written: its serial number, or its path where it has none.
	Serial string
}

// ErrUnfit says that a place is not to be measured, or not so.
var ErrUnfit = errors.New("not to be measured")

// refusal is an ErrUnfit that needs no more words than its own.
type refusal string

func (r refusal) Error() string { return string(r) }

func (refusal) Is(target error) bool { return target == ErrUnfit }

func unfit(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// Open looks at a place and prepares it: in a folder it makes a file and writes all of it, as what was never written is read from nowhere.
// Nothing was written when the error is ErrUnfit; Close removes what was made.
func Open(ctx context.Context, w Wanted) (*Place, error) {
	info, err := os.Stat(w.Path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return openFolder(ctx, w)
	case info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0:
		return openDevice(ctx, w)
	}
	return nil, unfit("%s is a %s: expected a folder or a block device", w.Path, kind(info.Mode()))
}

func kind(mode os.FileMode) string {
	if mode.IsRegular() {
		return "file"
	}
	return "special file"
}

// Refusal says why a job is not run there, for people; "" when it is.
func (p *Place) Refusal(j Job) string {
	switch {
	case j.Writes() && p.ReadOnly != "":
		return p.ReadOnly
	case p.Refuses != nil:
		return p.Refuses(j)
	}
	return ""
}

// Close removes the file, if Open made one.
func (p *Place) Close() error {
	if p.remove == nil {
		return nil
	}
	return p.remove()
}

// fileSystems that are no disk of this machine's, by their magic number (statfs(2)).
var fileSystems = map[uint32]string{
	unix.NFS_SUPER_MAGIC:       "NFS, which is on the network",
	unix.SMB_SUPER_MAGIC:       "SMB, which is on the network",
	unix.CIFS_SUPER_MAGIC:      "CIFS, which is on the network",
	unix.SMB2_SUPER_MAGIC:      "SMB, which is on the network",
	unix.CEPH_SUPER_MAGIC:      "CephFS, which is on the network",
	unix.AFS_SUPER_MAGIC:       "AFS, which is on the network",
	unix.V9FS_MAGIC:            "9P, which is another machine's",
	unix.FUSE_SUPER_MAGIC:      "FUSE, whose program would be measured",
	unix.TMPFS_MAGIC:           "tmpfs, which is memory",
	unix.RAMFS_MAGIC:           "ramfs, which is memory",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay, as a container's own files are: give the folder where a volume is mounted",
}

// headroom is the part of a file system that a measurement leaves free.
const headroom = 0.05

// suits says why a file system, for people, is not measured with a file of that size.
func suits(folder string, s unix.Statfs_t, size lvm.Bytes) error {
	if name, ok := fileSystems[uint32(s.Type)]; ok {
		return unfit("%s is on %s", folder, name)
	}
	if s.Flags&unix.ST_RDONLY != 0 {
		return unfit("%s is mounted read-only", folder)
	}
	free, total := lvm.Bytes(s.Bavail)*lvm.Bytes(s.Bsize), lvm.Bytes(s.Blocks)*lvm.Bytes(s.Bsize)
	if spare := lvm.Bytes(headroom * float64(total)); free-size < spare {
		return unfit("%s has %v free of %v: expected %v for the file and %v more that stay free; a smaller --size may do", folder, free, total, size, spare)
	}
	return nil
}

func openFolder(ctx context.Context, w Wanted) (_ *Place, err error) {
	if w.Serial != "" {
		return nil, unfit("%s is a folder, and a serial number was given to have a block device written", w.Path)
	}
	if w.Size < lvm.MiB {
		return nil, unfit("a file of %v: expected at least 1Mi", w.Size)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(w.Path, &s); err != nil {
		return nil, fmt.Errorf("statfs %s: %w", w.Path, err)
	}
	if err := suits(w.Path, s, w.Size); err != nil {
		return nil, err
	}
	var held unix.Stat_t
	if err := unix.Stat(w.Path, &held); err != nil {
		return nil, fmt.Errorf("stat %s: %w", w.Path, err)
	}
	p := &Place{Name: filepath.Clean(w.Path), Size: w.Size, File: true}
	p.Major, p.Minor = unix.Major(held.Dev), unix.Minor(held.Dev) // major 0: of no device, as with btrfs
	p.Device = deviceAt(p.Major, p.Minor)
	if p.Warning, err = spares(p); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(w.Path, "loam-bench-*")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p.Path = f.Name()
	p.remove = func() error { return os.Remove(p.Path) }
	if err := p.fill(ctx, f); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// fill writes all of a new file.
func (p *Place) fill(ctx context.Context, f *os.File) error {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(p.Size)); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("room for %s of %v: %w", p.Path, p.Size, err)
	}
	if err := f.Truncate(int64(p.Size)); err != nil {
		return err
	}
	if err := Fill(ctx, p.Path, p.Size); err != nil {
		return err
	}
	return f.Sync()
}

// Fill writes all of a file or device once, so that nothing of it is read from nowhere, or allocated while it is measured.
func Fill(ctx context.Context, path string, size lvm.Bytes) error {
	job := Job{Name: "fill", Pattern: Write, BlockSize: lvm.MiB, Depth: 8}
	if _, err := (Direct{}).Run(ctx, Spec{Job: job, Path: path, Size: size, Once: true}); err != nil {
		return fmt.Errorf("writing what is to be measured: %w", err)
	}
	return nil
}
