package controller

import (
	"context"
	"errors"
	"math"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// GetCapacity goes to the node that the topology is; there is nothing where no node is. Without a topology it adds up all
// agents, and fails if one is away.
func (r *Router) GetCapacity(ctx context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	node, everyone, ok := parseSegments(req.GetAccessibleTopology())
	if everyone {
		return r.totalCapacity(ctx, req)
	}
	if !ok {
		return &csi.GetCapacityResponse{}, nil
	}
	noteNode(ctx, node)
	answer, err := ask(ctx, r, node, csi.ControllerClient.GetCapacity, req)
	if _, gone := errors.AsType[goneError](err); gone {
		return &csi.GetCapacityResponse{}, nil
	}
	return answer, err
}

func (r *Router) totalCapacity(ctx context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	nodes := r.agents.nodes()
	shares := make([]share, len(nodes))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, node := range nodes {
		group.Go(func() error {
			shares[i].answer, shares[i].err = ask(ctx, r, node, csi.ControllerClient.GetCapacity, req)
			return nil
		})
	}
	_ = group.Wait() // never an error
	return total(shares)
}

// share is one agent's answer to GetCapacity.
type share struct {
	answer *csi.GetCapacityResponse
	err    error
}

// total adds shares up. A node that cannot serve the request, because its pools are others, has nothing, unless that is so of
// all; a node that has left the cluster has nothing, too.
func total(shares []share) (*csi.GetCapacityResponse, error) {
	var sum, largest, served int64
	smallest, invalid := int64(math.MaxInt64), error(nil)
	for _, s := range shares {
		_, gone := errors.AsType[goneError](s.err)
		switch {
		case gone:
		case status.Code(s.err) == codes.InvalidArgument:
			invalid = s.err
		case s.err != nil:
			return nil, s.err
		default:
			served++
			sum += s.answer.GetAvailableCapacity()
			largest = max(largest, s.answer.GetMaximumVolumeSize().GetValue())
			smallest = min(smallest, s.answer.GetMinimumVolumeSize().GetValue())
		}
	}
	if served == 0 {
		return &csi.GetCapacityResponse{}, invalid
	}
	return &csi.GetCapacityResponse{
		AvailableCapacity: sum, MaximumVolumeSize: wrapperspb.Int64(largest), MinimumVolumeSize: wrapperspb.Int64(smallest),
	}, nil
}
