package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/loam-storage/loam/test/guest/machine"
)

func main() {
	machine.TakeOver()
	os.Exit(run(os.Args[1:]))
}

// Exit statuses that are not the command's, as timeout(1) and docker-run(1) give them.
const (
	exitUsage    = 2
	exitTimeout  = 124
	exitNoGuest  = 125
	exitBySignal = 128
)

// run is main, with the exit status as a value.
func run(args []string) int {
	options, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		fmt.Print(help)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "guest: %v; --help shows how to use it\n", err)
		return exitUsage
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT) // a Go program answers it with its stacks, so the command shall have it
	options.Signals = quit
	ctx, stop := endOnSignal(options)
	defer stop()
	status, err := machine.Run(ctx, options)
	if err != nil {
		return explain(err, options)
	}
	return status
}

// explain says why there is no exit status of the command, and gives the one to have instead.
func explain(err error, options machine.Options) int {
	var received endedBy
	switch {
	case errors.As(err, &received):
		fmt.Fprintln(os.Stderr, "guest:", err)
		return exitBySignal + int(received.signal)
	case errors.Is(err, machine.ErrEscaped):
		fmt.Fprintln(os.Stderr, "guest:", err)
		return exitBySignal + int(syscall.SIGINT)
	case errors.Is(err, machine.ErrTimeout):
		fmt.Fprintf(os.Stderr, "guest: timed out after %v: ended the guest while this ran in it: %s\n",
			options.Timeout, strings.Join(options.Args, " "))
		return exitTimeout
	}
	fmt.Fprintln(os.Stderr, "guest:", err)
	return exitNoGuest
}

// endedBy is the cause of a context that a signal ended.
type endedBy struct{ signal syscall.Signal }

func (e endedBy) Error() string { return "ended by signal: " + e.signal.String() }

// endOnSignal gives a context that ends with a signal to this program. After stop, the signals do what they do by
// default. On a terminal and this machine's own kernel, Ctrl-C reaches the command too, and is its own affair.
func endOnSignal(options machine.Options) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	interrupts := signals
	if options.Kernel == machine.Host && options.Terminal != nil {
		interrupts = make(chan os.Signal, 1)
	}
	signal.Notify(interrupts, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		select {
		case received := <-signals:
			signal.Stop(signals) // the next one ends this program at once, and the kernel ends the guest
			cancel(endedBy{received.(syscall.Signal)})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(interrupts)
		close(done)
	}
}
