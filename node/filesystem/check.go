package filesystem

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/loam-storage/loam/node/tool"
)

// ErrCorrupt says that a file system has errors that its checker would have to repair.
var ErrCorrupt = errors.New("file system is corrupt")

// checkFor is how long a check may take. One that only reads may be ended at any time.
const checkFor = time.Minute

// Check looks for errors in a file system that is not mounted, changes nothing, and repairs nothing: that is for a person to
// decide. Errors: ErrCorrupt with the checker's first complaints; none when it finds nothing or cannot tell. A journal
// that waits to be replayed may look like errors, so it is for a file system that the kernel refused. It takes a minute at
// most: xfs_repair without a superblock looks for another one on all of the device.
func Check(ctx context.Context, device string, t Type) error {
	if _, err := readSuperblock(device); err != nil {
		return nil // nobody can tell; and xfs_repair has one status for corrupt and for unreadable
	}
	name, args, corrupt := "e2fsck", []string{"-n", "-f", "--", device}, 4 // e2fsck(8): errors left uncorrected
	if t == XFS {
		name, args, corrupt = "xfs_repair", []string{"-n", "--", device}, 1 // xfs_repair(8): corruption was detected
	}
	ctx, cancel := context.WithTimeout(ctx, checkFor)
	defer cancel()
	_, err := tool.Run(ctx, name, args...)
	var e *tool.Error
	if !errors.As(err, &e) || e.ExitCode < 0 || e.ExitCode&corrupt == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s says: %s", ErrCorrupt, name, complaints(e.Stdout+"\n"+e.Stderr))
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
