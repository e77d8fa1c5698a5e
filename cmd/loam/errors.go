package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exit codes, documented in `loam help output`.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitPartial  = 4 // of `kubectl loam`: the rest is shown
	exitWorse    = 5 // of `loam bench compare --fail-on`
)

// failure is an error of a command that ran. Whatever else cobra returns is wrong usage.
type failure struct {
	code int
	err  error
}

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// refuse is a failure found here, before the agent was asked to change anything.
func refuse(format string, args ...any) error {
	return failure{exitFailed, fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return failure{exitNotFound, fmt.Errorf(format, args...)}
}

// usage is wrong usage that only shows once the agent was asked, such as a size below the present one.
func usage(format string, args ...any) error {
	return failure{exitUsage, fmt.Errorf(format, args...)}
}

// explain turns an error into a sentence and an exit code.
func explain(err error) (message string, code int) {
	if f, ok := errors.AsType[failure](err); ok {
		return f.Error(), f.code
	}
	return err.Error(), exitUsage
}

// fail turns what asking the agent failed with into a failure that says what to do next. what is what was tried, as in
// "create volume data".
func (a *app) fail(ctx context.Context, what string, err error) error {
	if _, ok := errors.AsType[failure](err); ok || err == nil {
		return err
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return a.unreachable(err)
	}
	if c, ok := errors.AsType[coded](err); ok {
		s := c.GRPCStatus()
		if s.Code() == codes.Unavailable {
			if err := a.probe(context.WithoutCancel(ctx)); err != nil {
				return a.unreachable(err)
			}
		}
		return refuse("could not %s: %s", what, a.answered(s))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refuse("could not %s: %s", what, a.late())
	case errors.Is(err, context.Canceled):
		return refuse("could not %s: %s", what, interrupted)
	}
	return refuse("could not %s: %w", what, err)
}

// coded is an error with a code of gRPC. status.FromError would put gRPC's own wording into the message of a wrapped one.
type coded interface {
	error
	GRPCStatus() *status.Status
}

// answered explains a code of CSI (spec, "Error Scheme"). What the agent says names the field or the volume already.
func (a *app) answered(s *status.Status) string {
	switch s.Code() {
	case codes.DeadlineExceeded:
		return a.late()
	case codes.Canceled:
		return interrupted
	case codes.Unimplemented:
		return "this agent does not offer that (`loam version` shows which one answers)"
	case codes.ResourceExhausted:
		return s.Message() + " (`loam pool list` shows what there is room for)"
	case codes.Aborted:
		return s.Message() + " (try again shortly)"
	case codes.Internal, codes.Unknown:
		return s.Message() + " (the agent's log says more)"
	default:
		return s.Message()
	}
}

const interrupted = "interrupted (the agent finishes what it began)"

func (a *app) late() string {
	return fmt.Sprintf("no answer within %v (the agent finishes what it began, and the same command again finds it; --timeout waits longer)", a.timeout)
}

// unreachable says why nobody answers on the socket.
func (a *app) unreachable(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		return refuse("no agent answers on %s: start `loam agent`, or say with --socket where it is", a.socket)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return refuse("the agent's socket %s is not open to this user: run the command as root", a.socket)
	}
	return refuse("the agent on %s does not answer: %w", a.socket, err)
}
