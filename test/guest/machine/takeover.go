package machine

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"github.com/loam-storage/loam/test/guest/inside"
)

// TakeOver is the first call in main (or TestMain) of every program that calls Run with itself as Options.Init. In a
// process that is the first of a guest, or of the PID namespace around a guest's kernel, it does that process's work
// and does not return; in any other it does nothing.
func TakeOver() {
	if inside.IsInit() {
		inside.RunInit()
	}
	if files := os.Getenv(keeperVariable); files != "" && os.Getpid() == 1 {
		os.Exit(keep(files, os.Args[1:]))
	}
}

// keeperVariable marks the keeper and says how many extra files it hands down.
const keeperVariable = "LOAM_GUEST_KEEPER"

// keeper wraps a command to run as the child of a PID namespace's first process. User Mode Linux cannot be that first
// one itself: it ends a panic by abort(3), and the kernel spares the first process of a namespace such signals.
func keeper(self string, command *exec.Cmd) *exec.Cmd {
	wrapped := exec.Command(self, append([]string{command.Path}, command.Args[1:]...)...)
	wrapped.Env = append(command.Env, keeperVariable+"="+strconv.Itoa(len(command.ExtraFiles)))
	wrapped.ExtraFiles = command.ExtraFiles
	wrapped.Stdout, wrapped.Stderr = command.Stdout, command.Stderr
	return wrapped
}

// keep runs the kernel until it ends; the namespace and all that is left in it end with this process.
func keep(files string, args []string) int {
	count, err := strconv.Atoi(files)
	if err != nil || len(args) == 0 {
		fmt.Fprintln(os.Stderr, "guest: not a keeper's command line:", files, args)
		return 1
	}
	command := exec.Command(args[0], args[1:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	for i := range count {
		command.ExtraFiles = append(command.ExtraFiles, os.NewFile(uintptr(3+i), "inherited"))
	}
	wakes := make(chan os.Signal, 1)
	signal.Notify(wakes, wake)
	if err := command.Start(); err != nil {
		return 1
	}
	go func() {
		for range wakes {
			_ = command.Process.Signal(wake)
		}
	}()
	if err := command.Wait(); err != nil {
		return 1
	}
	return 0
}
