package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/loam-storage/loam/test/guest/machine"
	"github.com/loam-storage/loam/test/guest/terminal"
)

const help = `Run a command as root on a kernel with device-mapper, with disks attached.

Usage:
  guest [FLAGS] [--] COMMAND [ARGUMENT...]

The command sees this machine's files and works in the current directory, but what it writes is kept in the guest's
memory and forgotten at the end; --writable makes exceptions. It has no network but the loopback interface. Its stdin,
stdout, stderr, signals and environment are passed through, and so is a terminal. LOAM_DISKS names the disks, with
commas between; LOAM_GUEST names the kernel.

Flags:
  --kernel=KIND         uml: User Mode Linux, an ordinary process that needs no rights (default)
                        qemu: a virtual machine with Debian's cloud kernel, on KVM where that works; for what User
                        Mode Linux lacks
                        host: this machine's own kernel, with loop devices; needs root and device-mapper
  --disks=[COUNTx]SIZE  blank disks, as in 3x2G or 1G,2x4G; may be repeated
  --disk-image=FILE     an existing file as a disk; what is written to it stays: two runs on one image are a reboot
  --tap=NAME            a tap interface of this machine's as the guest's network, vec0 there (uml only)
  --memory=SIZE         the guest's memory (default 1G)
  --timeout=DURATION    end the guest after this time, as in 90s; 0 for never (default 10m, on a terminal never)
  --writable=DIRECTORY  what the command changes in this directory stays; may be repeated
  --env=NAME=VALUE      a variable for the command's environment; may be repeated
  --package=NAME        a Debian package that the command needs; may be repeated
  --verbose             say how long booting, the command and powering off took
  --help                this text

Sizes are in bytes, or with K, M, G or T for powers of 1024. Debian packages that are missing are installed when this
is run by root.

Exit status: the command's own, 128+N if signal N ended it, and
  2    the command line is wrong
  124  the timeout passed
  125  there is no guest to run the command in: it did not boot, its kernel panicked, this machine lacks something
  126  the command cannot be executed
  127  the command was not found
  128+N  signal N ended this program, and the guest with it

On a terminal, Ctrl-C is the command's; Ctrl-] three times ends the guest.

Examples:
  guest --disks=3x2G -- bash
  guest --disks=2x1G -- sh -c 'pvcreate $(echo $LOAM_DISKS | tr , " ") && pvs'
  go test -exec "$PWD/bin/guest --disks=3x2G --" ./lvm/...
  truncate -s 4G disk.img; guest --disk-image=disk.img -- vgcreate vg /dev/ubdb; guest --disk-image=disk.img -- vgs
`

// errHelp says that help was asked for.
var errHelp = errors.New("help")

// defaultTimeout keeps a test that hangs from hanging for ever. A person at a terminal sees that it does.
const defaultTimeout = 10 * time.Minute

// parse reads the command line.
func parse(args []string) (machine.Options, error) {
	options := machine.Options{
		Kernel: machine.UML, Memory: 1 << 30, Timeout: defaultTimeout, Env: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Messages: os.Stderr,
	}
	if terminal.Is(os.Stdin) && terminal.Is(os.Stdout) {
		options.Terminal, options.Timeout = os.Stdin, 0
	}
	flags := declare(&options)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return options, errHelp
	} else if err != nil {
		return options, err
	}
	options.Args = flags.Args()
	if len(options.Args) == 0 {
		return options, errors.New("no command to run")
	}
	return options, nil
}

// declare names the flags and where their values go.
func declare(options *machine.Options) *flag.FlagSet {
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("kernel", "", func(s string) (err error) {
		options.Kernel, err = machine.ParseKernel(s)
		return err
	})
	flags.Func("disks", "", func(s string) error {
		disks, err := machine.ParseDisks(s)
		options.Disks = append(options.Disks, disks...)
		return err
	})
	flags.Func("disk-image", "", func(s string) error {
		options.Disks = append(options.Disks, machine.Disk{Image: s})
		return nil
	})
	flags.Func("memory", "", func(s string) (err error) {
		options.Memory, err = machine.ParseSize(s)
		return err
	})
	flags.DurationVar(&options.Timeout, "timeout", options.Timeout, "")
	flags.Func("env", "", func(s string) error {
		if name, _, ok := strings.Cut(s, "="); !ok || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE", s)
		}
		options.Env = append(options.Env, s)
		return nil
	})
	flags.Func("writable", "", appendTo(&options.Writable))
	flags.StringVar(&options.Tap, "tap", "", "")
	flags.Func("package", "", appendTo(&options.Packages))
	flags.BoolVar(&options.Verbose, "verbose", false, "")
	return flags
}

func appendTo(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}
