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

func TestWhoHasTheAnswerMayAskAgainAtOnce(t *testing.T) {
	calls := &Calls{Log: slog.New(slog.DiscardHandler)}
	for range 1000 {
		_, err := calls.Intercept(context.Background(), &csi.CreateVolumeRequest{Name: "v"}, someMethod, func(context.Context, any) (any, error) { return "", nil })
		if err != nil {
			t.Fatal(err)
		}
	}
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

func TestWhatNeedsAPoolWaitsForThePools(t *testing.T) {
	up := false
	calls := &Calls{Log: slog.New(slog.DiscardHandler), Ready: func() bool { return up }}
	call := func(method string, req any) error {
		_, err := calls.Intercept(context.Background(), req, &grpc.UnaryServerInfo{FullMethod: "/csi.v1.X/" + method},
			func(context.Context, any) (any, error) { return "", nil })
		return err
	}
	wantCode(t, "creating early", call("CreateVolume", &csi.CreateVolumeRequest{Name: "v"}), codes.Unavailable)
	wantCode(t, "capacity early", call("GetCapacity", &csi.GetCapacityRequest{}), codes.Unavailable)
	wantCode(t, "staging early", call("NodeStageVolume", &csi.NodeStageVolumeRequest{VolumeId: "n/v"}), codes.Unavailable)
	wantCode(t, "asking who it is, early", call("NodeGetInfo", &csi.NodeGetInfoRequest{}), codes.OK)
	wantCode(t, "probing early", call("Probe", &csi.ProbeRequest{}), codes.OK)
	wantCode(t, "unmounting early", call("NodeUnpublishVolume", &csi.NodeUnpublishVolumeRequest{VolumeId: "n/v"}), codes.OK)
	up = true
	wantCode(t, "creating then", call("CreateVolume", &csi.CreateVolumeRequest{Name: "v"}), codes.OK)
}

func TestProbeTellsWhetherThePoolsWereBroughtUp(t *testing.T) {
	for name, c := range map[string]struct {
		ready func() bool
		want  bool
	}{
		"before":                {func() bool { return false }, false},
		"after":                 {func() bool { return true }, true},
		"no one who would know": {nil, true},
	} {
		answer, err := (&Driver{Ready: c.ready}).Probe(context.Background(), nil)
		if err != nil || answer.GetReady() == nil || answer.GetReady().GetValue() != c.want {
			t.Errorf("%s: %v, %v; want ready %v", name, answer, err, c.want)
		}
	}
}

func TestCallsWithoutPoolsAreCallsOfCSI(t *testing.T) {
	known := map[string]bool{}
	for _, s := range []grpc.ServiceDesc{csi.Identity_ServiceDesc, csi.Controller_ServiceDesc, csi.Node_ServiceDesc} {
		for _, m := range s.Methods {
			known[m.MethodName] = true
		}
	}
	for _, m := range withoutPools {
		if !known[m] {
			t.Errorf("CSI has no call %s", m)
		}
	}
}
