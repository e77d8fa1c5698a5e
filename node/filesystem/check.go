package filesystem

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/device"
	"github.com/loam-storage/loam/node/tool"
)

// ErrCorrupt says that a file system has errors that its checker would have to repair.
var ErrCorrupt = errors.New("file system is corrupt")

// checkFor is how long a check may take. One that only reads may be ended at any time.
const checkFor = time.Minute

// The statuses with which checkers that change nothing end when they find errors. e2fsck(8): errors left uncorrected, and no
// operational error besides, which is what it ends with when it cannot read. xfs_repair(8): corruption was detected.
const ext4Corrupt, xfsCorrupt = 4, 1

// Check looks for errors in a file system that is not mounted, changes nothing, and repairs nothing: that is for a person to
// decide. Errors: ErrCorrupt with the checker's first complaints; none when it finds nothing or cannot tell, as of a device
// that cannot be read or has no superblock of that type. A journal that waits to be replayed may look like errors, so it is
// for a file system that the kernel refused. It takes a minute at most: xfs_repair may look for a better superblock on all
// of the device.
func Check(ctx context.Context, path string, t Type) error {
	s, err := readSuperblock(path)
	if err != nil || s.kind != t {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	if t == XFS && !canBeRead(ctx, path, s) {
		return nil // xfs_repair has one status for corrupt and for unreadable
	}
	name, args, status := "e2fsck", []string{"-n", "-f", "--", path}, ext4Corrupt
	if t == XFS {
		name, args, status = "xfs_repair", []string{"-n", "--", path}, xfsCorrupt
	}
	_, err = tool.Run(ctx, name, args...)
	var e *tool.Error
	if !errors.As(err, &e) || e.ExitCode != status {
		return nil
	}
	return fmt.Errorf("%w: %s says: %s", ErrCorrupt, name, complaints(e.Stdout+"\n"+e.Stderr))
}

// canBeRead says whether all can be read that the kernel reads first of an xfs: the heads of its allocation groups and its
// log, as far as its superblock can be trusted to say where they are.
func canBeRead(ctx context.Context, path string, s superblock) bool {
	d, err := device.Open(path)
	if err != nil {
		return false
	}
	defer d.Close()
	if !s.whole || s.group <= 0 {
		return true
	}
	for at := lvm.Bytes(0); at < s.size && err == nil && ctx.Err() == nil; at += s.group {
		_, err = d.Read(at, at+superblockEnd)
	}
	for at := s.log; at < s.logEnd && err == nil && ctx.Err() == nil; at += lvm.MiB {
		_, err = d.Read(at, min(at+lvm.MiB, s.logEnd))
	}
	return err == nil
}

// progress are the lines in which checkers tell what they do, not what they find.
var progress = regexp.MustCompile(`^(\s*|\s+- .*|Pass \d.*|Phase \d.*|e2fsck \d.*|No modify flag set.*)$`)

// complaints are the first lines of a checker's output that say what is wrong, on one line.
func complaints(output string) string {
	const most, longest = 5, 120
	var found []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if progress.MatchString(line) {
			continue
		}
		line = strings.ToValidUTF8(line[:min(len(line), longest)], "?")
		if len(found) < most && !slices.Contains(found, line) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "; ")
}
