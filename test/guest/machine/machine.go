// Package machine runs a command as root on a kernel with device-mapper: it boots a guest, attaches disks, carries the
// command's streams and exit status, and leaves nothing behind.
//
// Options say what to run and where; Run does it. What happens in the guest is package inside's.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Kernel names where the command runs.
type Kernel string

// The kernels to choose from.
const (
	UML  Kernel = "uml"  // User Mode Linux: an ordinary process, needs no rights and no virtualization
	QEMU Kernel = "qemu" // a virtual machine, accelerated by KVM where that works
	Host Kernel = "host" // this machine's own kernel: loop devices, LVM confined to them
)

// ParseKernel reads a Kernel by its name.
func ParseKernel(name string) (Kernel, error) {
	kernel := Kernel(name)
	if !slices.Contains([]Kernel{UML, QEMU, Host}, kernel) {
		return "", fmt.Errorf("%q is no kernel to choose: there are %s, %s and %s", name, UML, QEMU, Host)
	}
	return kernel, nil
}

// Options say what to run.
type Options struct {
	Kernel   Kernel // "": UML
	Disks    []Disk
	Tap      string        // name of a tap interface that becomes the guest's vec0; "": no network. UML alone
	Memory   int64         // bytes; 0: 1 GiB
	Timeout  time.Duration // 0: none
	Writable []string      // directories whose changes stay; all others are kept in the guest's memory and forgotten

	Args []string // Args[0] is looked up in the guest's PATH
	Env  []string // as os.Environ gives it; LOAM_DISKS and LOAM_GUEST are added
	Dir  string   // "": the current directory

	// Stdin may be nil. A Read of it that is under way as the guest ends is not waited for.
	Stdin          io.Reader
	Stdout, Stderr io.Writer // nil: discarded
	// Terminal, if not nil, is a terminal that the command shall believe it runs on; Run makes it raw meanwhile.
	Terminal *os.File

	// Init is a program that calls inside.RunInit when it is PID 1; "": this very program.
	Init string
	// Cache is a directory for what is costly to make again; "": .cache/guest in the module around Dir, or a folder of
	// the user's cache directory.
	Cache string
	// Packages are Debian packages that the command needs besides those of every guest: guestTools.
	Packages []string
	// Messages receives a line for each thing that a person should know, such as packages being installed.
	Messages io.Writer
	Verbose  bool // also say how long things took
	// Signals are passed on to the command.
	Signals <-chan os.Signal
}

// ErrTimeout says that Options.Timeout passed before the command ended.
var ErrTimeout = errors.New("timed out")

// GuestError says that the guest did not get as far as the command's end: it did not boot, panicked or powered off.
type GuestError struct {
	Reason  string
	Console string // the kernel's last lines
}

func (e *GuestError) Error() string {
	if e.Console == "" {
		return e.Reason
	}
	return e.Reason + "; the kernel's last lines:\n" + e.Console
}

// Run boots a guest, runs the command in it and gives the command's exit status, 128+n if signal n ended it. An error
// is ErrTimeout, the context's, a *GuestError, or says what this machine lacks. When Run returns, the guest is gone.
func Run(ctx context.Context, options Options) (int, error) {
	if err := options.complete(); err != nil {
		return 0, err
	}
	if options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, options.Timeout, ErrTimeout)
		defer cancel()
	}
	status, err := run(ctx, options)
	if err != nil && ctx.Err() != nil {
		return 0, context.Cause(ctx) // whatever failed, failed because of it
	}
	return status, err
}

func run(ctx context.Context, options Options) (int, error) {
	switch options.Kernel {
	case QEMU:
		return runQEMU(ctx, options)
	case Host:
		return runHost(ctx, options)
	default:
		return runUML(ctx, options)
	}
}

// complete fills in defaults and refuses what cannot work.
func (o *Options) complete() error {
	if len(o.Args) == 0 {
		return errors.New("no command to run")
	}
	if o.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		o.Dir = dir
	}
	if o.Init == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.Init = self
	}
	for _, stream := range []*io.Writer{&o.Stdout, &o.Stderr} {
		if *stream == nil {
			*stream = io.Discard
		}
	}
	if o.Kernel == "" {
		o.Kernel = UML
	}
	if o.Tap != "" && o.Kernel != UML {
		return fmt.Errorf("a tap is for kernel %s alone", UML)
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Memory < minMemory {
		return fmt.Errorf("a guest needs at least %d MiB of memory", minMemory>>20)
	}
	return o.completeWritable()
}

// minMemory is what a guest boots with, makes a thin pool and runs a Go program.
const minMemory = 192 << 20

// completeWritable makes the paths absolute and adds where a test binary writes.
func (o *Options) completeWritable() error {
	var folders []string
	for _, folder := range o.Writable {
		absolute, err := filepath.Abs(folder)
		if err != nil {
			return err
		}
		if !isFolder(absolute) {
			return fmt.Errorf("writable directory %s: there is no such directory", folder)
		}
		folders = append(folders, absolute)
	}
	for _, folder := range testOutputs(o.Args, o.Env) {
		if filepath.IsAbs(folder) && isFolder(folder) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	o.Writable = folders
	return nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// say tells a person something.
func (o *Options) say(format string, args ...any) {
	if o.Messages != nil {
		fmt.Fprintf(o.Messages, "guest: "+format+"\n", args...)
	}
}
