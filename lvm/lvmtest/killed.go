package lvmtest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Cut is a place in the life of an LVM command: just before its n-th call of a kind, one that would change something.
type Cut struct {
	Call string // the system call
	N    int
	What string // it would have done
}

// changing finds the calls that change something in what strace wrote: ioctls of device-mapper but those that ask, and writes
// to disks.
var changing = regexp.MustCompile(`DM_DEV_(CREATE|REMOVE|RENAME|SUSPEND)|DM_TABLE_(LOAD|CLEAR)|DM_TARGET_MSG|^(\d+ +)?p?write(64)?\(\d+</dev/ubd`)

// Cuts are all places at which the command that strace saw can be killed.
func Cuts(trace string) (all []Cut) {
	seen := map[string]int{}
	for line := range strings.Lines(trace) {
		line = strings.TrimLeft(line, "0123456789 ")
		call, _, ok := strings.Cut(line, "(")
		if !ok {
			continue
		}
		seen[call]++
		if what := changing.FindString(line); what != "" {
			all = append(all, Cut{call, seen[call], what})
		}
	}
	return all
}

// FirstOfEach are the cuts that are the first to do what they do.
func FirstOfEach(all []Cut) (first []Cut) {
	for _, at := range all {
		if !slices.ContainsFunc(first, func(c Cut) bool { return c.What == at.What }) {
			first = append(first, at)
		}
	}
	return first
}

// Program makes a program to be run in LVM's place, or another tool's. It is that tool under strace, which kills it at a cut, if there is
// one; trace is what strace wrote of the last command that it looked at. Only those commands are looked at whose first argument the
// shell's pattern matches. The shell runs before, and after, which knows how the tool ended by $?; a program that has neither ends as
// the tool did, by a signal, too.
type Program struct {
	Tool          string // its path; "" for LVM's
	Commands      string // such as "lvcreate|lvremove"; "" for all
	At            *Cut
	Before, After string
}

// Make writes the program.
func (p Program) Make(t testing.TB) (path string, trace func() string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "trace")
	tool := cmp.Or(p.Tool, "/usr/sbin/lvm")
	run := "strace -qq -y -o '" + log + "' -e trace=ioctl,write,pwrite64"
	if p.At != nil {
		run += fmt.Sprintf(" -e inject=%s:signal=KILL:when=%d", p.At.Call, p.At.N)
	}
	run += " '" + tool + `' "$@"`
	if p.Before == "" && p.After == "" {
		run = "exec " + run
	}
	commands := p.Commands
	if commands == "" {
		commands = "*"
	}
	script := fmt.Sprintf("#!/bin/sh\ncase \"$1\" in %s) ;; *) exec '%s' \"$@\";; esac\n%s\n%s\n%s\n", commands, tool, p.Before, run, p.After)
	path = filepath.Join(dir, filepath.Base(tool))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}
