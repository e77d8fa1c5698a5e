package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/loam-storage/loam/test/guest/machine"
	"github.com/loam-storage/loam/test/guest/terminal"
)

const usage = `Run a command as root on a kernel with device-mapper, with blank disks attached.

    guest [FLAGS] -- COMMAND [ARGS...]
`

// errHelp says that help was asked for and given.
var errHelp = errors.New("help")

// parse reads the command line. Help goes to out.
func parse(args []string, out io.Writer) (machine.Options, error) {
	options := machine.Options{
		Kernel: machine.UML, Memory: 1 << 30, Env: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Messages: os.Stderr,
	}
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("kernel", "`KIND` of kernel: uml, qemu or host", func(s string) error {
		options.Kernel = machine.Kernel(s)
		return nil
	})
	flags.Func("disks", "blank disks: `COUNTxSIZE`", func(s string) error {
		disks, err := machine.ParseDisks(s)
		options.Disks = append(options.Disks, disks...)
		return err
	})
	flags.Func("disk-image", "an existing `FILE` as a disk", func(s string) error {
		options.Disks = append(options.Disks, machine.Disk{Image: s})
		return nil
	})
	flags.Func("memory", "the guest's memory: `SIZE`", func(s string) (err error) {
		options.Memory, err = machine.ParseSize(s)
		return err
	})
	flags.DurationVar(&options.Timeout, "timeout", 10*time.Minute, "end the guest after `DURATION`")
	flags.Func("writable", "a `DIRECTORY` whose changes stay", func(s string) error {
		options.Writable = append(options.Writable, s)
		return nil
	})
	flags.Func("env", "`NAME=VALUE` for the command", func(s string) error {
		options.Env = append(options.Env, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
			return options, errHelp
		}
		return options, err
	}
	options.Args = flags.Args()
	if terminal.Is(os.Stdin) && terminal.Is(os.Stdout) {
		options.Terminal = os.Stdin
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGQUIT)
	options.Signals = signals
	return options, nil
}
