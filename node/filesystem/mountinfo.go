package filesystem

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// mountInfo is where the kernel lists the mounts of this process's namespace.
const mountInfo = "/proc/self/mountinfo"

var errMountInfo = errors.New("not a line of mountinfo")

func mounts() ([]Mount, error) {
	text, err := os.ReadFile(mountInfo)
	if err != nil {
		return nil, err
	}
	all, err := parseMountInfo(string(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", mountInfo, err)
	}
	return all, nil
}

func parseMountInfo(text string) ([]Mount, error) {
	var all []Mount
	for line := range strings.Lines(text) {
		m, err := parseMount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("%w: %.200q", err, line)
		}
		all = append(all, m)
	}
	return all, nil
}

// parseMount parses a line (proc_pid_mountinfo(5)). Its fields are separated by exactly one space: anyone may mount with
// a source of no characters, and such a line must not hide all the others.
func parseMount(line string) (Mount, error) {
	here, super, found := strings.Cut(line, " - ") // a space within a field is escaped
	fields, own := strings.Split(here, " "), strings.SplitN(super, " ", 3)
	if !found || len(fields) < 6 || len(own) < 3 {
		return Mount{}, errMountInfo
	}
	majorText, minorText, _ := strings.Cut(fields[2], ":")
	major, err1 := strconv.ParseUint(majorText, 10, 32)
	minor, err2 := strconv.ParseUint(minorText, 10, 32)
	if err1 != nil || err2 != nil {
		return Mount{}, errMountInfo
	}
	return Mount{
		Root: unescape(fields[3]), Target: unescape(fields[4]), Options: strings.Split(fields[5], ","),
		Type: unescape(own[0]), Source: unescape(own[1]), SuperOptions: strings.Split(own[2], ","),
		Major: uint32(major), Minor: uint32(minor),
	}, nil
}

// unescape undoes the kernel's escapes: a backslash and three octal digits for a space, tab, newline, # or backslash
// (mangle in fs/proc_namespace.c).
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
