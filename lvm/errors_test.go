package lvm

import (
	"strings"
	"syscall"
	"testing"
)

func TestCommandErrorIsOneReadableLine(t *testing.T) {
	for _, test := range []struct {
		err  CommandError
		want string
	}{
		{
			CommandError{
				Args: []string{"lvcreate", "-qq"}, ExitCode: 5,
				Stderr: "  WARNING: noise.\n  Volume group \"vg\" not found\n  Cannot process volume group vg\n",
			},
			`lvcreate: Volume group "vg" not found; Cannot process volume group vg (exit status 5)`,
		},
		{
			CommandError{
				Args: []string{"lvcreate"}, ExitCode: 3,
				Stderr: "  thin: Required device-mapper target(s) not detected in your kernel.\n  Run `lvcreate --help' for more information.\n",
			},
			"lvcreate: thin: Required device-mapper target(s) not detected in your kernel (exit status 3)",
		},
		{CommandError{Args: []string{"lvs"}, ExitCode: 5, Stderr: "  WARNING: only this\n"}, "lvs: WARNING: only this (exit status 5)"},
		{CommandError{Args: []string{"lvs"}, ExitCode: -1, Signal: syscall.SIGKILL}, "lvs: ended by signal: killed"},
		{CommandError{}, "lvm: exit status 0"},
		{CommandError{Args: []string{"lvs"}, ExitCode: 5, Stderr: "a\x1b[31mb\tc\r\n"}, "lvs: a [31mb c (exit status 5)"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestCommandErrorIsBounded(t *testing.T) {
	e := CommandError{Args: []string{"lvs"}, ExitCode: 5, Stderr: strings.Repeat("wörd ", 10000)}
	if n := len(e.Error()); n > maxWords+50 {
		t.Errorf("an error of %d bytes", n)
	}
}
