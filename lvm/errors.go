package lvm

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ErrNoDevice says that no active device-mapper device belongs to that logical volume.
var ErrNoDevice = errors.New("logical volume is not active")

// ErrName says that a name, tag or device path is not one that may reach an LVM command line.
var ErrName = errors.New("invalid name")

// ErrSize says that a size or a number of stripes is not one that may reach an LVM command line.
var ErrSize = errors.New("invalid size")

// ErrNotDurable says that LVM made the change, but that a physical volume did not confirm that it would survive a power cut.
var ErrNotDurable = errors.New("changed, but not known to survive a power cut")

// ErrUnclear says that something is wrong that only a person can judge.
var ErrUnclear = errors.New("not mended, as it is not clear what is right")

// ErrLocked says that another LVM command, perhaps a person's, has kept a volume group locked for too long (flock(2) of a file).
var ErrLocked = errors.New("locked by another LVM command, which does not end")

// ErrSilent says that a device does not answer: reading it neither ends nor fails.
var ErrSilent = errors.New("does not answer")

// ErrNoLVM says that there is no lvm binary to run.
var ErrNoLVM = errors.New("no lvm binary found: install LVM2 (package lvm2)")

// CommandError is an lvm command that did not succeed. Whether it changed anything is for a report to say, not for its words.
type CommandError struct {
	Args     []string       // without the binary and without the options that every command gets
	ExitCode int            // lvm(8), "Exit status": 5 is ECMD_FAILED, 3 is EINVALID_CMD_LINE; -1 when a signal ended it
	Signal   syscall.Signal // 0 when it exited by itself
	Stderr   string         // LVM's words
}

// Error is one line: the command, LVM's words without its warnings, and how it ended.
func (e *CommandError) Error() string {
	end := fmt.Sprintf("exit status %d", e.ExitCode)
	if e.Signal != 0 {
		end = "ended by signal: " + e.Signal.String()
	}
	command := "lvm"
	if len(e.Args) > 0 {
		command = e.Args[0]
	}
	words := readable(e.Stderr)
	if words == "" {
		return command + ": " + end
	}
	return command + ": " + words + " (" + end + ")"
}

// maxWords bounds what an error carries into a log line or a gRPC status.
const maxWords = 500

// readable joins the lines that say why, and falls back on the warnings when there is nothing else.
func readable(stderr string) string {
	var why, warnings []string
	for line := range strings.Lines(stderr) {
		line = strings.Map(printable, strings.TrimSpace(line))
		switch {
		case line == "" || strings.HasPrefix(line, "Run `"):
		case strings.HasPrefix(line, "WARNING:"):
			warnings = append(warnings, line)
		default:
			why = append(why, strings.TrimSuffix(line, "."))
		}
	}
	if len(why) == 0 {
		why = warnings
	}
	words := strings.Join(why, "; ")
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords], "") + "…"
	}
	return words
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
