package controller

import (
	"context"
	"errors"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
)

// CreateVolume goes to the node that the topologies or the source name. Where they leave a choice, it goes to the node that has
// the volume already, else to the one that is preferred, else to the one with the most room.
func (r *Router) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" {
		return nil, missing("name")
	}
	w, err := parseWhere(req)
	if err != nil {
		return nil, err
	}
	if node, ok := w.only(); ok {
		return r.createOn(ctx, node, req)
	}
	return r.createAmong(ctx, w, req)
}

// createOn makes it on that node. A node that has left the cluster is RESOURCE_EXHAUSTED, on which external-provisioner has the
// pod scheduled anew, elsewhere.
func (r *Router) createOn(ctx context.Context, node string, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	noteNode(ctx, node)
	answer, err := ask(ctx, r, node, csi.ControllerClient.CreateVolume, req)
	if gone, ok := errors.AsType[goneError](err); ok {
		return nil, refuse(codes.ResourceExhausted, "%v; choose another", gone)
	}
	return answer, err
}

// createAmong makes it on one of several nodes, and never on two: see docs/decisions/0021.
func (r *Router) createAmong(ctx context.Context, w where, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	name := req.GetName()
	unsettled, ok := r.attempts.begin(name, time.Now())
	if !ok {
		return nil, refuse(codes.Aborted, "CreateVolume for %s is still at work", name)
	}
	settled := unsettled == ""
	defer func() { r.attempts.end(name, settled) }()

	nodes := []string{unsettled}
	if unsettled == "" {
		offers := r.survey(ctx, w.among(r.agents.nodes()), req)
		var err error
		if nodes, err = order(w, offers, lvm.Bytes(req.GetCapacityRange().GetRequiredBytes())); err != nil {
			return nil, err
		}
	}
	var first error
	for _, node := range nodes {
		r.attempts.sent(name, node)
		settled = false
		answer, err := r.createOn(ctx, node, req)
		settled = settles(status.Code(err))
		if status.Code(err) != codes.ResourceExhausted {
			return answer, err
		}
		// It has no room, so it has no volume of that name: it looks for that one first.
		if first == nil {
			first = err
		}
	}
	return nil, first
}
