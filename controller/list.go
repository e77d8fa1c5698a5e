package controller

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/node/volume"
)

// ListVolumes lists the volumes of all agents, in order of their IDs.
func (r *Router) ListVolumes(ctx context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	get := func(ctx context.Context, node, token string, most int32) (page[*csi.ListVolumesResponse_Entry], error) {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ListVolumes, &csi.ListVolumesRequest{MaxEntries: most, StartingToken: token})
		return page[*csi.ListVolumesResponse_Entry]{answer.GetEntries(), answer.GetNextToken()}, err
	}
	all, err := list(ctx, r.agents.nodes(), req, get)
	if err != nil {
		return nil, err
	}
	return &csi.ListVolumesResponse{Entries: all.entries, NextToken: all.next}, nil
}

// ControllerListVolumeHealth lists the volumes of all agents with which something is wrong, in order of their IDs.
func (r *Router) ControllerListVolumeHealth(ctx context.Context, req *csi.ControllerListVolumeHealthRequest) (*csi.ControllerListVolumeHealthResponse, error) {
	get := func(ctx context.Context, node, token string, most int32) (page[*csi.VolumeHealth], error) {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ControllerListVolumeHealth, &csi.ControllerListVolumeHealthRequest{
			MaxEntries: most, StartingToken: token, Secrets: req.GetSecrets(),
		})
		return page[*csi.VolumeHealth]{answer.GetEntries(), answer.GetNextToken()}, err
	}
	all, err := list(ctx, r.agents.nodes(), req, get)
	if err != nil {
		return nil, err
	}
	return &csi.ControllerListVolumeHealthResponse{Entries: all.entries, NextToken: all.next}, nil
}

// ListSnapshots lists the snapshots of all agents, in order of their IDs; with an ID, only that one's node is asked.
func (r *Router) ListSnapshots(ctx context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	get := func(ctx context.Context, node, token string, most int32) (page[*csi.ListSnapshotsResponse_Entry], error) {
		answer, err := ask(ctx, r, node, csi.ControllerClient.ListSnapshots, &csi.ListSnapshotsRequest{
			MaxEntries: most, StartingToken: token, Secrets: req.GetSecrets(),
			SnapshotId: req.GetSnapshotId(), SourceVolumeId: req.GetSourceVolumeId(),
		})
		return page[*csi.ListSnapshotsResponse_Entry]{answer.GetEntries(), answer.GetNextToken()}, err
	}
	all, err := list(ctx, nodesOf(r.agents.nodes(), req.GetSnapshotId(), req.GetSourceVolumeId()), req, get)
	if err != nil {
		return nil, err
	}
	return &csi.ListSnapshotsResponse{Entries: all.entries, NextToken: all.next}, nil
}

// nodesOf narrows the nodes to ask to the one on which all those IDs are, of which some may be empty. What has an ID that Loam
// could not have made is nowhere, and so is what would be on two nodes; that is no error (CSI spec, "ListSnapshots").
func nodesOf(all []string, ids ...string) []string {
	node := ""
	for _, s := range ids {
		if s == "" {
			continue
		}
		id, err := volume.ParseID(s)
		if err != nil || node != "" && node != id.Node {
			return nil
		}
		node = id.Node
	}
	if node == "" {
		return all
	}
	return []string{node}
}
