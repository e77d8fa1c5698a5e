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

// Exit statuses that are not the command's, as timeout(1), env(1) and docker-run(1) give them.
const (
	exitUsage    = 2
	exitTimeout  = 124
	exitNoGuest  = 125
	exitBySignal = 128
)

// run is main, with its exit status as a value.
func run(args []string) int {
	options, err := parse(args, os.Stderr)
	switch {
	case errors.Is(err, errHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "guest: %v\nRun it with --help for how to use it.\n", err)
		return exitUsage
	}
	ctx, ended := endOnSignal()
	status, err := machine.Run(ctx, options)
	var received endedBy
	switch {
	case err == nil:
		return status
	case errors.As(err, &received):
		return exitBySignal + int(received.signal)
	case errors.Is(err, machine.ErrTimeout):
		fmt.Fprintf(os.Stderr, "guest: timed out after %v: ended the guest in which this ran: %s\n",
			options.Timeout, strings.Join(options.Args, " "))
		return exitTimeout
	}
	ended()
	fmt.Fprintln(os.Stderr, "guest:", err)
	return exitNoGuest
}

// endedBy is the cause of a context that a signal ended.
type endedBy struct{ signal syscall.Signal }

func (e endedBy) Error() string { return "ended by " + e.signal.String() }

// endOnSignal gives a context that a signal to end this program ends.
func endOnSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if received, ok := (<-signals).(syscall.Signal); ok {
			cancel(endedBy{received})
		}
	}()
	return ctx, func() { signal.Stop(signals) }
}
