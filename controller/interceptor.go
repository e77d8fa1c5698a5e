package controller

import (
	"context"
	"log/slog"
	"path"
	"runtime/debug"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// intercept is the server's interceptor: it runs the call and logs one line of it.
func (r *Router) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	started, method, node := time.Now(), path.Base(info.FullMethod), new(string)
	answer, err := r.guard(context.WithValue(ctx, nodeKey{}, node), method, req, handle)
	r.metrics.Call(method, status.Code(err), time.Since(started))
	r.logCall(ctx, call{method: method, subject: subjectOf(req), node: *node, started: started}, err)
	return answer, err
}

// guard makes a panic an error of this one call.
func (r *Router) guard(ctx context.Context, method string, req any, handle grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.ErrorContext(ctx, "panic", "method", method, "panic", p, "stack", string(debug.Stack()))
			answer, err = nil, refuse(codes.Internal, "%s failed inside the router: %v", method, p)
		}
	}()
	return handle(ctx, req)
}

// nodeKey is the context's key of the node that a call went to.
type nodeKey struct{}

// noteNode notes for the log which node a call goes to; the last one counts.
func noteNode(ctx context.Context, node string) {
	if noted, ok := ctx.Value(nodeKey{}).(*string); ok {
		*noted = node
	}
}

type call struct {
	method, subject, node string
	started               time.Time
}

// logCall writes one line a call; the queries that sidecars repeat are for debugging.
func (r *Router) logCall(ctx context.Context, c call, err error) {
	level := slog.LevelDebug
	if c.subject != "" {
		level = slog.LevelInfo
	}
	attrs := []any{"method", c.method, "duration", time.Since(c.started).Round(time.Millisecond), "code", status.Code(err).String()}
	if c.subject != "" {
		attrs = append(attrs, "volume", c.subject)
	}
	if c.node != "" {
		attrs = append(attrs, "node", c.node)
	}
	if err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, "error", status.Convert(err).Message())
	}
	r.log.Log(ctx, level, "call", attrs...)
}

// subjectOf names what a call changes, by its ID or by the name that it is to get; "" for a call that changes nothing.
func subjectOf(req any) string {
	switch q := req.(type) {
	case *csi.CreateVolumeRequest:
		return q.GetName()
	case *csi.CreateSnapshotRequest:
		return q.GetName()
	case *csi.DeleteVolumeRequest:
		return q.GetVolumeId()
	case *csi.DeleteSnapshotRequest:
		return q.GetSnapshotId()
	case *csi.ControllerExpandVolumeRequest:
		return q.GetVolumeId()
	}
	return ""
}
