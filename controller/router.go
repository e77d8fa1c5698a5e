package controller

import (
	"context"
	"errors"
	"log/slog"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"

	"github.com/loam-storage/loam/controller/metrics"
)

// parallel bounds how many agents are asked at a time on behalf of one call.
const parallel = 32

// Router is the CSI driver that the sidecars see.
type Router struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer

	agents    *Agents
	attempts  attempts
	client    kubernetes.Interface // reads a PersistentVolume, to tell it of what was not wiped
	events    record.EventRecorder
	namespace string // the install's, which is told what no PersistentVolume can be told
	version   string
	metrics   *metrics.Metrics
	log       *slog.Logger
}

// register adds the router's services to a server.
func (r *Router) register(s grpc.ServiceRegistrar) {
	csi.RegisterIdentityServer(s, r)
	csi.RegisterControllerServer(s, r)
}

// method is one of ControllerClient's, as a method expression.
type method[Request, Answer any] func(csi.ControllerClient, context.Context, Request, ...grpc.CallOption) (Answer, error)

// ask forwards a call to a node's agent and returns what that answers: code, message and details are the agent's own. The
// error is a goneError if the node has left the cluster.
func ask[Request, Answer any](ctx context.Context, r *Router, node string, call method[Request, Answer], req Request) (Answer, error) {
	answer, err := reach(ctx, r, node, call, req)
	r.metrics.Asked(outcomeOf(err))
	return answer, err
}

func outcomeOf(err error) metrics.Outcome {
	if _, gone := errors.AsType[goneError](err); gone {
		return metrics.Gone
	}
	switch status.Code(err) {
	case codes.OK:
		return metrics.Answered
	case codes.Unavailable:
		return metrics.Unavailable
	case codes.Canceled, codes.DeadlineExceeded:
		return metrics.Abandoned
	}
	return metrics.Refused
}

func reach[Request, Answer any](ctx context.Context, r *Router, node string, call method[Request, Answer], req Request) (Answer, error) {
	var none Answer
	client, err := r.agents.agent(ctx, node)
	if err != nil {
		return none, err
	}
	answer, err := call(client, ctx, req)
	if status.Code(err) == codes.Canceled && ctx.Err() == nil { // by the end of the connection, as its caller did not
		return none, away(node, "its agent went away during the call")
	}
	return answer, err
}

// forward is ask for what only that node can answer: without the node, the thing does not exist.
func forward[Request, Answer any](ctx context.Context, r *Router, node string, call method[Request, Answer], req Request) (Answer, error) {
	noteNode(ctx, node)
	answer, err := ask(ctx, r, node, call, req)
	if gone, ok := errors.AsType[goneError](err); ok {
		return answer, refuse(codes.NotFound, "%v, and what was on it does not exist any more", gone)
	}
	return answer, err
}

// refuse is an error with its code, decided here.
func refuse(code codes.Code, format string, args ...any) error {
	return status.Errorf(code, format, args...)
}
