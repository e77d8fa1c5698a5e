package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mount is what matters of a line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	number Number // of the file system; btrfs has one of no device
	source string // the device by the name that was mounted, or anything
	point  string
}

// uses is what of this machine is mounted and swapped to.
type uses struct {
	mounts []mount
	swaps  []string // paths
}

// uses reads the mounts of this process and, where it may, those of the host's first one, which a container does not
// share. What neither shows is found by opening the device exclusively.
func (s Source) uses() (uses, error) {
	var u uses
	for _, pid := range []string{"self", "1"} {
		data, err := os.ReadFile(filepath.Join(s.proc(), pid, "mountinfo"))
		if pid != "self" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			continue
		}
		if err != nil {
			return uses{}, err
		}
		mounts, err := parseMounts(string(data))
		if err != nil {
			return uses{}, err
		}
		u.mounts = append(u.mounts, mounts...)
	}
	data, err := os.ReadFile(filepath.Join(s.proc(), "swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without swap has no such file
		return uses{}, err
	}
	u.swaps = parseSwaps(string(data))
	return u, nil
}

// of says where a disk is mounted, and whether it is swapped to.
func (u uses) of(d Disk) (points []string, swap bool) {
	names := d.names()
	for _, m := range u.mounts {
		if (m.number == d.Number || slices.Contains(names, m.source)) && !slices.Contains(points, m.point) {
			points = append(points, m.point)
		}
	}
	swap = slices.ContainsFunc(u.swaps, func(s string) bool { return slices.Contains(names, s) })
	return points, swap
}

func parseMounts(text string) ([]mount, error) {
	var all []mount
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimRight(line, "\n"), " ")
		dash := slices.Index(fields, "-")
		if len(fields) < 7 || dash < 6 || len(fields) < dash+3 {
			return nil, fmt.Errorf("mountinfo: %.100q has too few fields", line)
		}
		m := mount{point: unescape(fields[4]), source: unescape(fields[dash+2])}
		if n, err := fmt.Sscanf(fields[2], "%d:%d", &m.number.Major, &m.number.Minor); err != nil || n != 2 {
			return nil, fmt.Errorf("mountinfo: %.100q is not a device number", fields[2])
		}
		all = append(all, m)
	}
	return all, nil
}

// parseSwaps returns the names of /proc/swaps (proc_swaps(5)).
func parseSwaps(text string) []string {
	var all []string
	for i, line := range strings.Split(text, "\n") {
		if fields := strings.Fields(line); i > 0 && len(fields) > 0 {
			all = append(all, unescape(fields[0]))
		}
	}
	return all
}

// unescape undoes the kernel's octal escapes of blanks and backslashes (seq_file's mangle_path).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
