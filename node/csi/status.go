package csi

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/signature"
)

// refusal is an error that carries its code, decided where it arose.
type refusal struct {
	code codes.Code
	text string
}

func (r refusal) Error() string { return r.text }

func refuse(code codes.Code, format string, args ...any) error {
	return refusal{code, fmt.Sprintf(format, args...)}
}

// invalid names the request's field that is wrong and what was expected of it.
func invalid(field, format string, args ...any) error {
	return refusal{codes.InvalidArgument, field + ": " + fmt.Sprintf(format, args...)}
}

// codeOf are the codes of errors that other packages decide, the first that matches.
var codeOf = []struct {
	is   error
	code codes.Code
}{
	{pool.ErrRange, codes.OutOfRange},
	{pool.ErrNoRoom, codes.ResourceExhausted},
	{pool.ErrBusy, codes.Aborted},
	{lvm.ErrLocked, codes.Aborted},
	{pool.ErrMissing, codes.Unavailable},
	{lvm.ErrSilent, codes.Unavailable},
	{pool.ErrUnknown, codes.InvalidArgument},
	{signature.ErrUnreadable, codes.Unavailable},
	{filesystem.ErrLost, codes.Unavailable},
	{filesystem.ErrCorrupt, codes.Internal},
	{filesystem.ErrOutsideRoot, codes.InvalidArgument},
	{filesystem.ErrSymlink, codes.InvalidArgument},
	{filesystem.ErrOtherMount, codes.FailedPrecondition},
	{filesystem.ErrBusy, codes.FailedPrecondition},
	{filesystem.ErrNotEmpty, codes.FailedPrecondition},
	{filesystem.ErrNotMounted, codes.FailedPrecondition},
	{filesystem.ErrReadOnly, codes.AlreadyExists}, // published at the same target, and otherwise (CSI spec, "NodePublishVolume")
	{unix.EIO, codes.Unavailable},
	{unix.ENOSPC, codes.ResourceExhausted}, // where the agent keeps its own files
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{context.Canceled, codes.Canceled},
}

// toStatus turns an error into what the caller sees (CSI spec, "Error Scheme").
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var r refusal
	if errors.As(err, &r) {
		return status.Error(r.code, err.Error())
	}
	for _, c := range codeOf {
		if errors.Is(err, c.is) {
			return status.Error(c.code, err.Error())
		}
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	return status.Error(codes.Internal, err.Error())
}
