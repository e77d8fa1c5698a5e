package csi

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/node/volume"
)

// Calls runs every call to its end, whatever its caller does meanwhile, and keeps calls for one volume apart.
type Calls struct {
	Log   *slog.Logger
	Ready func() bool // whether the pools were brought up once; nil when they were
	// Observe, if not nil, is told of every call that ended.
	Observe func(method string, code codes.Code, took time.Duration)

	mu       sync.Mutex // guards what follows
	inFlight map[string]string
	closed   bool
	running  sync.WaitGroup
}

// Intercept is the server's interceptor: guard, run, wait as long as the caller does, translate, log.
func (c *Calls) Intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	started, method, subject := time.Now(), path.Base(info.FullMethod), subjectOf(req)
	release, err := c.enter(method, subject)
	if err != nil {
		c.log(ctx, method, subject, started, err)
		return nil, err
	}
	done := make(chan result, 1)
	go func() { // ends with the handler; Finish waits for it
		r := c.run(context.WithoutCancel(ctx), method, req, handle)
		c.log(ctx, method, subject, started, r.err)
		release() // before the answer: who has it may ask again at once
		done <- r
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return nil, status.FromContextError(fmt.Errorf("%w: %s goes on; ask again", ctx.Err(), method)).Err()
	}
}

type result struct {
	answer any
	err    error
}

// run calls the handler; a panic is an error of this one call.
func (c *Calls) run(ctx context.Context, method string, req any, handle grpc.UnaryHandler) (r result) {
	defer func() {
		if p := recover(); p != nil {
			c.Log.ErrorContext(ctx, "panic", "method", method, "panic", p, "stack", string(debug.Stack()))
			r = result{err: status.Errorf(codes.Internal, "%s failed inside the driver: %v", method, p)}
		}
	}()
	answer, err := handle(ctx, req)
	if err != nil {
		return result{err: toStatus(err)}
	}
	return result{answer: answer}
}

// withoutPools are the calls that need no pool: what a kubelet asks before it registers a driver, and unmounting, which lets
// pods end while an agent that was restarted looks for their pools.
var withoutPools = []string{
	"GetPluginInfo", "GetPluginCapabilities", "Probe", "ControllerGetCapabilities", "NodeGetCapabilities", "NodeGetInfo",
	"NodeUnpublishVolume", "NodeUnstageVolume",
}

// enter counts a call in, unless the agent is stopping, the call comes before its pools, or another is at work on the same
// volume (CSI spec, "Concurrency").
func (c *Calls) enter(method, subject string) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, status.Error(codes.Unavailable, "the agent is stopping")
	}
	if c.Ready != nil && !c.Ready() && !slices.Contains(withoutPools, method) {
		return nil, status.Error(codes.Unavailable, "pools are being brought up; ask again shortly")
	}
	if other, busy := c.inFlight[subject]; busy && subject != "" {
		return nil, status.Errorf(codes.Aborted, "%s for %s is still at work", other, subject)
	}
	if c.inFlight == nil {
		c.inFlight = map[string]string{}
	}
	if subject != "" {
		c.inFlight[subject] = method
	}
	c.running.Add(1)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.inFlight, subject)
		c.running.Done()
	}, nil
}

// Finish refuses new calls and waits for those at work.
func (c *Calls) Finish() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
}

// log writes one line a call; the queries that kubelet and sidecars repeat are for debugging.
func (c *Calls) log(ctx context.Context, method, subject string, started time.Time, err error) {
	level, took, code := slog.LevelDebug, time.Since(started), status.Code(err)
	if c.Observe != nil {
		c.Observe(method, code, took)
	}
	if subject != "" {
		level = slog.LevelInfo
	}
	attrs := []any{"method", method, "duration", took.Round(time.Millisecond), "code", code.String()}
	if subject != "" {
		attrs = append(attrs, "volume", subject)
	}
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, "error", status.Convert(err).Message())
	}
	c.Log.Log(ctx, level, "call", attrs...)
}

// subjectOf names the logical volume that a call changes; "" for a call that changes none and never waits.
func subjectOf(req any) string {
	switch r := req.(type) {
	case *csi.CreateVolumeRequest:
		return volume.VolumeLV(r.GetName())
	case *csi.CreateSnapshotRequest:
		return volume.SnapshotLV(r.GetName())
	case *csi.DeleteSnapshotRequest:
		return subjectID(r.GetSnapshotId())
	case *csi.DeleteVolumeRequest, *csi.ControllerExpandVolumeRequest, *csi.NodeExpandVolumeRequest,
		*csi.NodeStageVolumeRequest, *csi.NodeUnstageVolumeRequest, *csi.NodePublishVolumeRequest, *csi.NodeUnpublishVolumeRequest:
		return subjectID(r.(interface{ GetVolumeId() string }).GetVolumeId())
	}
	return ""
}

func subjectID(s string) string {
	id, err := volume.ParseID(s)
	if err != nil {
		return ""
	}
	return id.LV
}
