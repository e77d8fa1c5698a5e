package csi

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

var someMethod = &grpc.UnaryServerInfo{FullMethod: "/csi.v1.Controller/CreateVolume"}

func TestCallerMayLeaveButTheCallGoesOn(t *testing.T) {
	calls := &Calls{Log: slog.New(slog.DiscardHandler)}
	ctx, leave := context.WithCancel(context.Background())
	proceed, ended := make(chan struct{}), make(chan error, 1)
	req := &csi.CreateVolumeRequest{Name: "v"}
	_, err := calls.Intercept(ctx, req, someMethod, func(inner context.Context, _ any) (any, error) {
		leave()
		<-proceed
		ended <- inner.Err()
		return nil, nil
	})
	wantCode(t, "the caller that left", err, codes.Canceled)

	_, err = calls.Intercept(context.Background(), req, someMethod, func(context.Context, any) (any, error) { return "", nil })
	wantCode(t, "a retry meanwhile", err, codes.Aborted)
	_, err = calls.Intercept(context.Background(), &csi.CreateVolumeRequest{Name: "other"}, someMethod, func(context.Context, any) (any, error) { return "", nil })
	wantCode(t, "another volume meanwhile", err, codes.OK)
	_, err = calls.Intercept(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: "n/v"}, someMethod, func(context.Context, any) (any, error) { return "", nil })
	wantCode(t, "stats of the same volume meanwhile", err, codes.OK)

	close(proceed)
	if err := <-ended; err != nil {
		t.Errorf("the call's context ended with %v when its caller left", err)
	}
	calls.Finish()
	_, err = calls.Intercept(context.Background(), req, someMethod, nil)
	wantCode(t, "a call to a stopping agent", err, codes.Unavailable)
}

func TestDeadlineIsAnsweredWithoutKilling(t *testing.T) {
	calls := &Calls{Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	proceed := make(chan struct{})
	_, err := calls.Intercept(ctx, &csi.DeleteVolumeRequest{VolumeId: "n/v"}, someMethod, func(context.Context, any) (any, error) {
		<-proceed
		return nil, nil
	})
	wantCode(t, "after the deadline", err, codes.DeadlineExceeded)
	close(proceed)
	calls.Finish()
}

func TestPanicIsOneCallsError(t *testing.T) {
	var log bytes.Buffer
	calls := &Calls{Log: slog.New(slog.NewTextHandler(&log, nil))}
	_, err := calls.Intercept(context.Background(), &csi.CreateVolumeRequest{Name: "v"}, someMethod, func(context.Context, any) (any, error) {
		panic("out of cheese")
	})
	wantCode(t, "a panic", err, codes.Internal)
	if !strings.Contains(log.String(), "interceptor_test.go") {
		t.Errorf("the log has no stack: %s", log.String())
	}
	_, err = calls.Intercept(context.Background(), &csi.CreateVolumeRequest{Name: "v"}, someMethod, func(context.Context, any) (any, error) { return "", nil })
	wantCode(t, "the next call", err, codes.OK)
}

func TestLogTellsTheCallAndNoSecret(t *testing.T) {
	var log bytes.Buffer
	calls := &Calls{Log: slog.New(slog.NewTextHandler(&log, nil))}
	_, _ = calls.Intercept(context.Background(), &csi.CreateVolumeRequest{Name: "v", Secrets: map[string]string{"key": "hunter2"}}, someMethod,
		func(context.Context, any) (any, error) { return nil, invalid("name", "wrong") })
	for _, want := range []string{"method=CreateVolume", "volume=v", "code=InvalidArgument", "duration=", "name: wrong"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log has a secret: %s", log.String())
	}
}
