package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/volume"
)

// offer is what a node's agent says of a volume that may be made there.
type offer struct {
	node      string
	exists    bool      // it has a volume of that name
	available lvm.Bytes // what new volumes may have together
	largest   lvm.Bytes // the largest single one
	err       error     // it said nothing, or no
}

// survey asks the agents of those nodes, in their order, for the volume and for room.
func (r *Router) survey(ctx context.Context, nodes []string, req *csi.CreateVolumeRequest) []offer {
	offers := make([]offer, len(nodes))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, node := range nodes {
		group.Go(func() error {
			offers[i] = r.offer(ctx, node, req)
			return nil
		})
	}
	_ = group.Wait() // never an error
	return offers
}

// offerTimeout bounds the wait for one agent of many: both answers take a report of LVM, and wait for no lock.
const offerTimeout = 5 * time.Second

func (r *Router) offer(ctx context.Context, node string, req *csi.CreateVolumeRequest) offer {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	id := volume.ID{Node: node, LV: volume.VolumeLV(req.GetName())}
	_, err := ask(ctx, r, node, csi.ControllerClient.ControllerGetVolume, &csi.ControllerGetVolumeRequest{VolumeId: id.String()})
	if err == nil {
		return offer{node: node, exists: true}
	}
	if gone, ok := errors.AsType[goneError](err); ok {
		return offer{node: node, err: refuse(codes.ResourceExhausted, "%v; choose another", gone)}
	}
	if status.Code(err) != codes.NotFound {
		return offer{node: node, err: err}
	}
	room, err := ask(ctx, r, node, csi.ControllerClient.GetCapacity, &csi.GetCapacityRequest{
		VolumeCapabilities: req.GetVolumeCapabilities(), Parameters: req.GetParameters(),
	})
	return offer{
		node: node, err: err,
		available: lvm.Bytes(room.GetAvailableCapacity()), largest: lvm.Bytes(room.GetMaximumVolumeSize().GetValue()),
	}
}

// order is the decision: the nodes on which to try to make a volume of at least that size, the first that takes it.
//
// A node that has the volume is the only one. Else those with room, as preferred, the others by most available, the same
// by name. If none has room, the first of that order, whose refusal says what there is. A node that said nothing is not
// tried; if none said anything of use, the error is the most telling one.
func order(w where, offers []offer, required lvm.Bytes) ([]string, error) {
	rank := func(o offer) int {
		if i := slices.Index(w.preferred, o.node); i >= 0 {
			return i
		}
		return len(w.preferred)
	}
	sorted := slices.SortedFunc(slices.Values(offers), func(a, b offer) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.available, a.available), cmp.Compare(a.node, b.node))
	})
	var fit, full []string
	for _, o := range sorted {
		switch {
		case o.exists:
			return []string{o.node}, nil
		case o.err != nil:
		case o.largest < max(required, 1):
			full = append(full, o.node)
		default:
			fit = append(fit, o.node)
		}
	}
	if len(fit) > 0 {
		return fit, nil
	}
	if len(full) > 0 {
		return full[:1], nil
	}
	return nil, mostTelling(offers)
}

// mostTelling picks among the reasons of nodes of which none is of use: what is wrong with the request, then who is
// away and will be back.
func mostTelling(offers []offer) error {
	if len(offers) == 0 {
		return refuse(codes.Unavailable, "no node has an agent")
	}
	for _, code := range []codes.Code{codes.InvalidArgument, codes.Unavailable} {
		for _, o := range offers {
			if status.Code(o.err) == code {
				return o.err
			}
		}
	}
	return offers[0].err
}
