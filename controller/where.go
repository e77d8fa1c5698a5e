package controller

import (
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/node/volume"
)

// topologyKey is the one key of Loam's topologies; its value is a node's name.
const topologyKey = volume.Prefix + "node"

// where says which nodes a new volume may be on.
type where struct {
	preferred []string // these first, in this order
	others    []string // then these, in no order
	anywhere  bool     // then any other node
}

// only returns the node, where there is no choice.
func (w where) only() (node string, ok bool) {
	all := slices.Concat(w.preferred, w.others)
	if w.anywhere || len(all) != 1 {
		return "", false
	}
	return all[0], true
}

// among returns those of the known nodes that w allows; a node that is allowed by name need not be known.
func (w where) among(known []string) []string {
	all := slices.Concat(w.preferred, w.others)
	if w.anywhere {
		all = append(all, known...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// parseWhere reads where a volume may be from its topologies and its source, which has to be on the same node.
func parseWhere(req *csi.CreateVolumeRequest) (where, error) {
	w, err := parseTopologies(req.GetAccessibilityRequirements())
	if err != nil {
		return where{}, err
	}
	if req.GetVolumeContentSource() == nil {
		return w, nil
	}
	field, id, err := parseSource(req.GetVolumeContentSource())
	if err != nil {
		return where{}, err
	}
	if !w.anywhere && !slices.Contains(slices.Concat(w.preferred, w.others), id.Node) {
		return where{}, refuse(codes.InvalidArgument, "%s and accessibility_requirements contradict each other: the source %s is on node %s, a copy has to be there, too, and only %v was allowed",
			field, id, id.Node, slices.Concat(w.preferred, w.others))
	}
	return where{preferred: []string{id.Node}}, nil
}

// parseTopologies follows CSI spec, "TopologyRequirement": requisite bounds, preferred orders. A topology without segments is
// everyone's, as is no topology at all; one with a key that is not Loam's is nobody's.
func parseTopologies(t *csi.TopologyRequirement) (where, error) {
	var w where
	w.anywhere = len(t.GetRequisite())+len(t.GetPreferred()) == 0
	add := func(list []string, terms []*csi.Topology) []string {
		for _, term := range terms {
			node, everyone, ok := parseSegments(term)
			switch {
			case everyone:
				w.anywhere = true
			case ok && !slices.Contains(w.preferred, node) && !slices.Contains(list, node):
				list = append(list, node)
			}
		}
		return list
	}
	w.preferred = add(nil, t.GetPreferred())
	w.others = add(nil, t.GetRequisite())
	if !w.anywhere && len(w.preferred)+len(w.others) == 0 {
		return where{}, refuse(codes.ResourceExhausted, "accessibility_requirements: no topology names a node; expected %s=<node>", topologyKey)
	}
	return w, nil
}

// parseSegments returns the node that a topology is; everyone for one without segments; and !ok for one that no node has.
func parseSegments(t *csi.Topology) (node string, everyone, ok bool) {
	segments := t.GetSegments()
	node, has := segments[topologyKey]
	if len(segments) == 0 {
		return "", true, true
	}
	return node, false, has && len(segments) == 1 && volume.CheckNode(node) == nil
}

// parseSource returns the ID that a volume's contents come from, and the request's field that it stands in.
func parseSource(s *csi.VolumeContentSource) (field string, id volume.ID, err error) {
	switch kind := s.GetType().(type) {
	case *csi.VolumeContentSource_Snapshot:
		field = "volume_content_source.snapshot.snapshot_id"
		id, err = parseID(field, kind.Snapshot.GetSnapshotId())
	case *csi.VolumeContentSource_Volume:
		field = "volume_content_source.volume.volume_id"
		id, err = parseID(field, kind.Volume.GetVolumeId())
	default:
		err = refuse(codes.InvalidArgument, "volume_content_source: expected snapshot or volume")
	}
	return field, id, err
}

// parseID reads the ID of something that has to exist; what Loam could not have made is NOT_FOUND.
func parseID(field, s string) (volume.ID, error) {
	if s == "" {
		return volume.ID{}, missing(field)
	}
	id, err := volume.ParseID(s)
	if err != nil {
		return volume.ID{}, refuse(codes.NotFound, "%s: %v", field, err)
	}
	return id, nil
}

func missing(field string) error { return refuse(codes.InvalidArgument, "%s: missing", field) }
