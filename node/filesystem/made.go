package filesystem

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/loam-storage/loam/node/tool"
)

// ErrCorrupt says that a file system has errors that its checker would have to repair.
var ErrCorrupt = errors.New("file system is corrupt")

// Made says whether a device holds a file system of that type and UUID whose mkfs was not interrupted.
func Made(device string, t Type, uuid string) (bool, error) {
	s, err := readSuperblock(device)
	if err != nil {
		return false, err
	}
	return s.kind == t && s.uuid == uuid && s.finished, nil
}

// Check looks for errors in a file system that is not mounted, changes nothing, and repairs nothing: that is for a person to
// decide. Errors: ErrCorrupt with the checker's last words; none when it finds nothing or cannot tell.
func Check(ctx context.Context, device string, t Type) error {
	name, args, corrupt := "e2fsck", []string{"-n", "--", device}, 4 // e2fsck(8): errors left uncorrected
	if t == XFS {
		name, args, corrupt = "xfs_repair", []string{"-n", device}, 1 // xfs_repair(8): corruption was detected
	}
	_, err := tool.Run(ctx, name, args...)
	var e *tool.Error
	if !errors.As(err, &e) || e.ExitCode < 0 || e.ExitCode&corrupt == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s says: %s", ErrCorrupt, name, lastWords(e.Stdout+e.Stderr))
}

// lastWords are the last lines of a checker's output, on one.
func lastWords(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
