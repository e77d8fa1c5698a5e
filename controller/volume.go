package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/node/volume"
)

// DeleteVolume goes to the volume's node. If that has left the cluster, the volume is gone for everyone: the answer is
// success, so that its PersistentVolume can go, and an event says that nothing was wiped.
func (r *Router) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	return remove(ctx, r, removal{"volume_id", req.GetVolumeId(), "volume"}, csi.ControllerClient.DeleteVolume, req)
}

// DeleteSnapshot is the same for a snapshot.
func (r *Router) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	return remove(ctx, r, removal{"snapshot_id", req.GetSnapshotId(), "snapshot"}, csi.ControllerClient.DeleteSnapshot, req)
}

// removal is what is to be removed: the request's field, the ID in it, and what that is, in a word.
type removal struct{ field, id, kind string }

// remove forwards the call. Success, without asking anyone, is also the answer where there is nothing to remove: for a node that has
// left the cluster, and for an ID that Loam could not have made, which names nothing that exists (CSI spec, "DeleteVolume").
func remove[Request, Answer any](ctx context.Context, r *Router, what removal, call method[Request, *Answer], req Request) (*Answer, error) {
	if what.id == "" {
		return nil, missing(what.field)
	}
	id, err := volume.ParseID(what.id)
	if err != nil {
		return new(Answer), nil //nolint:nilerr // see above
	}
	noteNode(ctx, id.Node)
	answer, err := ask(ctx, r, id.Node, call, req)
	if gone, ok := errors.AsType[goneError](err); ok {
		r.tellNotWiped(ctx, id, fmt.Sprintf("%v: %s %s counts as deleted, but its data on that node's disks was not wiped", gone, what.kind, id))
		return new(Answer), nil
	}
	return answer, err
}

// tellNotWiped makes an event on the volume's PersistentVolume, which external-provisioner names as the volume, or on the install's
// namespace where there is none that holds this volume.
func (r *Router) tellNotWiped(ctx context.Context, id volume.ID, message string) {
	r.log.WarnContext(ctx, "not wiped", "volume", id.String(), "node", id.Node)
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: r.namespace, Namespace: r.namespace}
	pv, err := r.client.CoreV1().PersistentVolumes().Get(ctx, id.LV, metav1.GetOptions{})
	if err == nil && pv.Spec.CSI != nil && pv.Spec.CSI.Driver == driverName && pv.Spec.CSI.VolumeHandle == id.String() {
		about = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolume", Name: pv.Name, UID: pv.UID}
	}
	r.events.Event(about, corev1.EventTypeWarning, "DataNotWiped", message)
}

// ControllerExpandVolume goes to the volume's node.
func (r *Router) ControllerExpandVolume(ctx context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id, err := parseID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.ControllerExpandVolume, req)
}

// ControllerGetVolume goes to the volume's node.
func (r *Router) ControllerGetVolume(ctx context.Context, req *csi.ControllerGetVolumeRequest) (*csi.ControllerGetVolumeResponse, error) {
	id, err := parseID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.ControllerGetVolume, req)
}

// ControllerGetVolumeHealth goes to the volume's node.
func (r *Router) ControllerGetVolumeHealth(ctx context.Context, req *csi.ControllerGetVolumeHealthRequest) (*csi.ControllerGetVolumeHealthResponse, error) {
	id, err := parseID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.ControllerGetVolumeHealth, req)
}

// ValidateVolumeCapabilities goes to the volume's node.
func (r *Router) ValidateVolumeCapabilities(ctx context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if len(req.GetVolumeCapabilities()) == 0 { // wrong even of a volume that does not exist
		return nil, missing("volume_capabilities")
	}
	id, err := parseID("volume_id", req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.ValidateVolumeCapabilities, req)
}

// CreateSnapshot goes to the node of the volume that it is taken of.
func (r *Router) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if req.GetName() == "" {
		return nil, missing("name")
	}
	id, err := parseID("source_volume_id", req.GetSourceVolumeId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.CreateSnapshot, req)
}

// GetSnapshot goes to the snapshot's node.
func (r *Router) GetSnapshot(ctx context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	id, err := parseID("snapshot_id", req.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	return forward(ctx, r, id.Node, csi.ControllerClient.GetSnapshot, req)
}
