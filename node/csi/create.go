package csi

import (
	"context"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/filesystem"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// CreateVolume makes a volume, or finds the one that an earlier call of that name made, and its file system.
func (d *Driver) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	want, err := d.parseCreate(req)
	if err != nil {
		return nil, err
	}
	made, err := d.provide(ctx, want)
	if err != nil {
		return nil, err
	}
	if err := d.format(ctx, made, want.makeOptions); err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: d.describe(made.Volume)}, nil
}

// provide reads, decides and acts under the locks of the pools that the volume may be in.
func (d *Driver) provide(ctx context.Context, want creation) (live, error) {
	unlock, err := d.lockAll(ctx, want.pools)
	if err != nil {
		return live{}, err
	}
	defer unlock()
	report, err := d.Pools.Report(ctx)
	if err != nil {
		return live{}, err
	}
	todo, err := decideCreate(d.Pools.All(), report, want)
	if err != nil {
		return live{}, err
	}
	return d.carryOut(todo)
}

// creation is a CreateVolume request that can be acted on.
type creation struct {
	name        string
	lv          string
	pools       []config.Pool // where it may be
	sizes       pool.Range
	fs          filesystem.Type
	source      string // logical volume that the content comes from, "" for none
	claim       string
	makeOptions []string
}

// createStep is what a creation comes to.
type createStep struct {
	volume pool.Volume // as it will be, or as it is
	exists bool
	where  pool.Placement
	extend lvm.Bytes // size to extend to once it exists; 0: none
}

// decideCreate is the decision: the volume that is there, or what to make.
func decideCreate(pools []config.Pool, report lvm.Report, want creation) (createStep, error) {
	if v, ok := pool.Find(pools, report, want.lv); ok {
		return decideExisting(v, want)
	}
	if group, taken := pool.Taken(pools, report, want.lv); taken {
		return createStep{}, refuse(codes.AlreadyExists, "name: volume group %s holds a logical volume %s that is not Loam's", group, want.lv)
	}
	if want.source != "" {
		return decideCopy(pools, report, want)
	}
	where, err := pool.Place(want.pools, report, want.sizes, filesystem.MinimumSize(want.fs))
	if err != nil {
		return createStep{}, err
	}
	return createStep{where: where, volume: want.volume(where)}, nil
}

// decideExisting says whether the volume of that name is what is wanted. One that was to be larger than its source and
// is not yet is finished now.
func decideExisting(v pool.Volume, want creation) (createStep, error) {
	clash := func(what string, has, asked any) error {
		return refuse(codes.AlreadyExists, "name: a volume %q exists with %s %v, and %v was asked for", want.name, what, has, asked)
	}
	size := max(v.LV.Size, v.Record.Size)
	switch {
	case v.Record.Kind != volume.Volume || v.Record.Name != want.name:
		return createStep{}, refuse(codes.AlreadyExists, "name: %q is taken by the %s %q", want.lv, v.Record.Kind, v.Record.Name)
	case !want.sizes.Contains(size):
		return createStep{}, clash("size", size, want.sizes)
	case v.Record.FS != string(want.fs):
		return createStep{}, clash("contents", contents(v.Record.FS), contents(want.fs))
	case v.Record.Source != want.source:
		return createStep{}, clash("source", orNone(v.Record.Source), orNone(want.source))
	}
	for _, p := range want.pools {
		if p.Name != v.Pool {
			continue
		}
		step := createStep{exists: true, volume: v}
		if v.LV.Size < size {
			step.extend = size
		}
		return step, nil
	}
	return createStep{}, clash("pool", v.Pool, want.pools[0].Name)
}

// decideCopy makes a writable thin snapshot of the source, larger where that is asked for.
func decideCopy(pools []config.Pool, report lvm.Report, want creation) (createStep, error) {
	source, ok := pool.Find(pools, report, want.source)
	if !ok {
		return createStep{}, refuse(codes.NotFound, "volume_content_source: %s does not exist", want.source)
	}
	if source.Record.FS != string(want.fs) {
		return createStep{}, invalid("volume_capabilities", "the source holds %s, and %s was asked for", contents(source.Record.FS), contents(want.fs))
	}
	for _, p := range want.pools {
		if p.Name != source.Pool {
			continue
		}
		if p.Type != config.Thin {
			return createStep{}, invalid("volume_content_source", "pool %s is thick; snapshots and clones need a thin pool", p.Name)
		}
		if want.sizes.Required == 0 {
			want.sizes.Required = source.LV.Size
		}
		if want.sizes.Limit > 0 && want.sizes.Limit < source.LV.Size || want.sizes.Required < source.LV.Size {
			return createStep{}, refuse(codes.OutOfRange, "capacity_range: the source has %v, and a copy cannot be smaller", source.LV.Size)
		}
		where, err := pool.Place([]config.Pool{p}, report, want.sizes, source.LV.Size)
		if err != nil {
			return createStep{}, err
		}
		step := createStep{where: where, volume: want.volume(where)}
		if where.Size > source.LV.Size {
			step.extend, step.volume.Record.Size = where.Size, where.Size
		}
		return step, nil
	}
	return createStep{}, invalid("parameters[pool]", "the source is in pool %s, and its copy must be too", source.Pool)
}

func (c creation) volume(where pool.Placement) pool.Volume {
	return pool.Volume{
		Pool: where.Pool.Name, Group: where.Pool.VolumeGroup,
		LV:     lvm.LogicalVolume{Name: c.lv, Size: where.Size},
		Record: volume.Record{Kind: volume.Volume, Name: c.name, FS: string(c.fs), Claim: c.claim, Source: c.source},
	}
}

// parseCreate parses the request; nothing in it is looked at again.
func (d *Driver) parseCreate(req *csi.CreateVolumeRequest) (creation, error) {
	if err := checkName(req.GetName()); err != nil {
		return creation{}, err
	}
	params := req.GetParameters()
	if err := checkParameters("parameters", params, volumeParams); err != nil {
		return creation{}, err
	}
	if err := checkParameters("mutable_parameters", req.GetMutableParameters(), nil); err != nil {
		return creation{}, err
	}
	want := creation{name: req.GetName(), lv: volume.VolumeLV(req.GetName())}
	how, err := parseAccesses(req.GetVolumeCapabilities())
	if err != nil {
		return creation{}, err
	}
	want.fs = how.fs
	if want.sizes, err = sizes(req.GetCapacityRange()); err != nil {
		return creation{}, err
	}
	if want.pools, err = d.Pools.Named(params[paramPool]); err != nil {
		return creation{}, invalid("parameters[pool]", "%v", err)
	}
	if err := checkPlacement(params[paramPlacement]); err != nil {
		return creation{}, err
	}
	if want.makeOptions, err = parseMakeOptions(how.fs, params[paramMakeOptions]); err != nil {
		return creation{}, err
	}
	if want.source, err = d.parseSource(req.GetVolumeContentSource()); err != nil {
		return creation{}, err
	}
	if params[paramClaim] != "" {
		want.claim = params[paramNamespace] + "/" + params[paramClaim]
	}
	return want, d.reachable(req.GetAccessibilityRequirements())
}

// checkPlacement refuses what the scheduler extender would not act on.
func checkPlacement(p string) error {
	if p != "" && p != "spread" && p != "binpack" {
		return invalid("parameters[placement]", "expected spread or binpack, got %.80q", p)
	}
	return nil
}

func parseMakeOptions(fs filesystem.Type, s string) ([]string, error) {
	options := strings.Fields(s)
	if len(options) == 0 {
		return nil, nil
	}
	if fs == "" {
		return nil, invalid("parameters[mkfsOptions]", "a raw block volume has no file system")
	}
	if err := filesystem.ParseMakeOptions(fs, options); err != nil {
		return nil, invalid("parameters[mkfsOptions]", "%v", err)
	}
	return options, nil
}

func (d *Driver) parseSource(s *csi.VolumeContentSource) (string, error) {
	var id volume.ID
	var err error
	switch kind := s.GetType().(type) {
	case nil:
		if s != nil {
			return "", invalid("volume_content_source", "expected snapshot or volume")
		}
		return "", nil
	case *csi.VolumeContentSource_Snapshot:
		id, err = d.localID("volume_content_source.snapshot.snapshot_id", kind.Snapshot.GetSnapshotId())
		if err == nil && !strings.HasPrefix(id.LV, volume.SnapshotPrefix) {
			err = refuse(codes.NotFound, "volume_content_source.snapshot.snapshot_id: %s is not a snapshot's", id)
		}
	case *csi.VolumeContentSource_Volume:
		id, err = d.localID("volume_content_source.volume.volume_id", kind.Volume.GetVolumeId())
		if err == nil && strings.HasPrefix(id.LV, volume.SnapshotPrefix) {
			err = refuse(codes.NotFound, "volume_content_source.volume.volume_id: %s is a snapshot's", id)
		}
	}
	return id.LV, err
}

// reachable says whether this node may serve a volume with those requirements (CSI spec, "TopologyRequirement").
func (d *Driver) reachable(t *csi.TopologyRequirement) error {
	if t == nil || len(t.GetRequisite()) == 0 && len(t.GetPreferred()) == 0 {
		return nil
	}
	for _, x := range slices.Concat(t.GetRequisite(), t.GetPreferred()) {
		if d.here(x) {
			return nil
		}
	}
	return refuse(codes.ResourceExhausted, "accessibility_requirements: none of the topologies is that of this node, %s=%s", TopologyKey, d.Node)
}

// here says whether a topology is this node's; the empty one is everyone's.
func (d *Driver) here(t *csi.Topology) bool {
	for key, value := range t.GetSegments() {
		if key != TopologyKey || value != d.Node {
			return false
		}
	}
	return true
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
