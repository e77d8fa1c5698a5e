package main

import (
	"errors"
	"flag"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/loam-storage/loam/test/guest/machine"
)

func TestParse(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		name string
		args []string
		want machine.Options
	}{
		{"a command", []string{"ls", "-l"},
			machine.Options{Kernel: machine.UML, Memory: gib, Timeout: defaultTimeout, Args: []string{"ls", "-l"}}},
		{"a command behind --", []string{"--memory=2G", "--", "--disks=1G"},
			machine.Options{Kernel: machine.UML, Memory: 2 * gib, Timeout: defaultTimeout, Args: []string{"--disks=1G"}}},
		{"disks of all kinds, in order", []string{"--disks=2x1G", "--disk-image=a.img", "--disks", "2G", "true"},
			machine.Options{Kernel: machine.UML, Memory: gib, Timeout: defaultTimeout, Args: []string{"true"},
				Disks: []machine.Disk{{Size: gib}, {Size: gib}, {Image: "a.img"}, {Size: 2 * gib}}}},
		{"the rest", []string{"--kernel=qemu", "--timeout=90s", "--writable=/a", "--writable=b", "--package=hello", "--verbose", "true"},
			machine.Options{Kernel: machine.QEMU, Memory: gib, Timeout: 90 * time.Second, Args: []string{"true"},
				Writable: []string{"/a", "b"}, Packages: []string{"hello"}, Verbose: true}},
		{"a network", []string{"--tap=tap1", "true"},
			machine.Options{Kernel: machine.UML, Memory: gib, Timeout: defaultTimeout, Args: []string{"true"}, Tap: "tap1"}},
		{"no timeout", []string{"--timeout=0", "true"}, machine.Options{Kernel: machine.UML, Memory: gib, Args: []string{"true"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(test.args)
			if err != nil {
				t.Fatal(err)
			}
			// What depends on the process that runs the test.
			got.Env, got.Stdin, got.Stdout, got.Stderr, got.Messages, got.Terminal = nil, nil, nil, nil, nil, nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("parse(%q) = %+v; want %+v", test.args, got, test.want)
			}
		})
	}
}

func TestParseAddsToTheEnvironment(t *testing.T) {
	got, err := parse([]string{"--env=A=1", "--env=B=x=y", "true"})
	if err != nil || len(got.Env) < 2 || strings.Join(got.Env[len(got.Env)-2:], " ") != "A=1 B=x=y" {
		t.Errorf("environment %q, %v; want it to end in A=1 and B=x=y", got.Env, err)
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	if _, err := parse([]string{"--help"}); !errors.Is(err, errHelp) {
		t.Errorf("--help gives %v", err)
	}
	declare(&machine.Options{}).VisitAll(func(f *flag.Flag) {
		if !strings.Contains(help, "\n  --"+f.Name) {
			t.Errorf("help does not explain --%s", f.Name)
		}
	})
}
