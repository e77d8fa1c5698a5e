package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/procfs/blockdevice"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// Numbers are the device numbers of active volumes (lvm.Numbers.Of).
type Numbers func(group, volume string) (major, minor uint32, ok bool)

// Source is where a scrape finds what it tells.
type Source struct {
	Pools      func() []config.Pool           // those that are meant for this node
	Last       func() (lvm.Report, time.Time) // what was last seen of the pools, and when; zero: nothing yet
	Problem    func(pool string) string       // why a pool is not up; "" when it is
	Conditions func() []Condition
	Healed     func(volumeGroup string) int // how often something was mended in it
	Numbers    func() (Numbers, error)
	Disks      func() ([]blockdevice.Diskstats, error) // the kernel's counters
	// FileSystems are those that are mounted of the devices that it is told to ask; the ones that do not answer are left out.
	FileSystems func(ours func(major, minor uint32) bool) ([]FileSystem, error)
	Pressure    func() (Pressure, error) // of the node
	Published   func() time.Time         // when all that should be published of the node's room last was; zero: never, or nowhere
}

// FileSystem is one that is mounted.
type FileSystem struct {
	Major, Minor          uint32
	Size, Available, Used lvm.Bytes
	Files, FilesFree      int64 // inodes
	Pods                  []Pod // that have it mounted
}

// Pod is one that uses a volume, and for how long it waited for any of its volumes.
type Pod struct {
	UID      string
	Pressure Pressure
}

// Pressure is for how long somebody waited for IO (kernel, Documentation/accounting/psi.rst).
type Pressure struct {
	Waiting time.Duration // at least one task
	Stalled time.Duration // all tasks at once
}

// Condition is something about a pool that a person should know.
type Condition struct {
	Pool, Kind string
	Since      time.Time
}

// told is a metric that is told at each scrape.
type told struct {
	metric.Metric
	desc *prometheus.Desc
}

func gauge(name, help string, labels ...string) told {
	m := metric.Metric{Name: name, Kind: metric.Gauge, Help: help, Labels: labels}
	return told{m, m.Desc()}
}

func counter(name, help string, labels ...string) told {
	m := metric.Metric{Name: name, Kind: metric.Counter, Help: help, Labels: labels}
	return told{m, m.Desc()}
}

// The metrics of pools.
var (
	observed  = gauge("loam_pools_observed_timestamp_seconds", "When the agent last looked at its pools, in seconds since 1970.")
	published = gauge("loam_capacity_published_timestamp_seconds", "When the API server last had all that it should have of the node's room, in seconds since 1970. At first, when the agent began.")

	poolInfo        = gauge("loam_pool_info", "Always 1; its labels are what a pool is.", "pool", "type", "volume_group")
	poolReady       = gauge("loam_pool_ready", "Whether the pool is up: 1 or 0.", "pool")
	poolSize        = gauge("loam_pool_size_bytes", "What the pool could hold when empty, over-provisioning not counted.", "pool")
	poolUsed        = gauge("loam_pool_used_bytes", "Allocated: extents of thick volumes, mapped chunks of a thin pool.", "pool")
	poolPromised    = gauge("loam_pool_promised_bytes", "What the volumes that exist may come to use.", "pool")
	poolAvailable   = gauge("loam_pool_available_bytes", "What new volumes may ask for together.", "pool")
	poolLargest     = gauge("loam_pool_largest_volume_bytes", "The largest single volume that would be accepted.", "pool")
	poolOver        = gauge("loam_pool_overprovision_ratio", "How many times its size a thin pool may promise.", "pool")
	poolMeta        = gauge("loam_pool_metadata_size_bytes", "Size of a thin pool's metadata.", "pool")
	poolMetaUsed    = gauge("loam_pool_metadata_used_bytes", "How much of a thin pool's metadata is in use.", "pool")
	poolHealth      = gauge("loam_pool_health", "1 for the health of a thin pool as the kernel has it, such as healthy, read-only or needs-check.", "pool", "health")
	poolVolumes     = gauge("loam_pool_volumes", "Volumes, snapshots, and deleted volumes that are being wiped.", "pool", "kind")
	poolSuspended   = gauge("loam_pool_suspended_devices", "Devices that are suspended: whoever uses them waits.", "pool")
	poolCondition   = gauge("loam_pool_condition", "1 for each condition that a person should know of.", "pool", "condition")
	conditionSince  = gauge("loam_pool_condition_since_timestamp_seconds", "Since when there is that condition, in seconds since 1970.", "pool", "condition")
	poolHeals       = counter("loam_pool_heals_total", "What was mended after interrupted commands, since the agent started.", "pool")
	groupSize       = gauge("loam_volume_group_size_bytes", "Size of a pool's volume group.", "pool", "volume_group")
	groupFree       = gauge("loam_volume_group_free_bytes", "How much of a pool's volume group is free.", "pool", "volume_group")
	groupDevices    = gauge("loam_volume_group_physical_volumes", "Physical volumes by state: present, missing, or silent, which are there and do not answer.", "pool", "volume_group", "state")
	groupMeta       = gauge("loam_volume_group_metadata_size_bytes", "Size of the smallest metadata area.", "pool", "volume_group")
	groupMetaFree   = gauge("loam_volume_group_metadata_free_bytes", "How much of the fullest metadata area is free.", "pool", "volume_group")
	groupChanges    = counter("loam_volume_group_changes_total", "Changes of the group's metadata since it was made (seqno).", "pool", "volume_group")
	podLabels       = append(slices.Clone(volumeLabels), "pod_uid")
	volumeLabels    = []string{"pool", "volume", "namespace", "persistentvolumeclaim"}
	volumeSize      = gauge("loam_volume_size_bytes", "Size of a volume.", volumeLabels...)
	volumeMapped    = gauge("loam_volume_mapped_bytes", "What a thin volume has allocated in its pool.", volumeLabels...)
	volumeActive    = gauge("loam_volume_active", "Whether the volume has a device: 1 or 0.", volumeLabels...)
	volumeReads     = counter("loam_volume_reads_completed_total", "Reads that the volume's device completed.", volumeLabels...)
	volumeReadBytes = counter("loam_volume_read_bytes_total", "Bytes read from the volume's device.", volumeLabels...)
	volumeReadTime  = counter("loam_volume_read_time_seconds_total", "Time that reads took, added up.", volumeLabels...)
	volumeWrites    = counter("loam_volume_writes_completed_total", "Writes that the volume's device completed.", volumeLabels...)
	volumeWritten   = counter("loam_volume_written_bytes_total", "Bytes written to the volume's device.", volumeLabels...)
	volumeWriteTime = counter("loam_volume_write_time_seconds_total", "Time that writes took, added up.", volumeLabels...)
	volumeInFlight  = gauge("loam_volume_io_in_flight", "Requests that the volume's device has not completed.", volumeLabels...)
	volumeFSSize    = gauge("loam_volume_filesystem_size_bytes", "Size of the volume's file system where it is mounted, without what it needs for itself.", volumeLabels...)
	volumeFSUsed    = gauge("loam_volume_filesystem_used_bytes", "How much of the mounted file system is in use.", volumeLabels...)
	volumeFSFree    = gauge("loam_volume_filesystem_available_bytes", "How much of the mounted file system others than root can still write.", volumeLabels...)
	volumeFiles     = gauge("loam_volume_filesystem_inodes", "Files and folders that the mounted file system can have.", volumeLabels...)
	volumeFilesFree = gauge("loam_volume_filesystem_inodes_free", "Files and folders that the mounted file system can still have.", volumeLabels...)
	podWaiting      = counter("loam_volume_pod_io_waiting_seconds_total", "For how long at least one task of a pod that has the volume mounted waited for IO, of any of its volumes (io.pressure, some).", podLabels...)
	podStalled      = counter("loam_volume_pod_io_stalled_seconds_total", "For how long all tasks of a pod that has the volume mounted waited for IO at once (io.pressure, full).", podLabels...)
	nodeWaiting     = counter("loam_node_io_waiting_seconds_total", "For how long at least one task of the node waited for IO (/proc/pressure/io, some).")
	nodeStalled     = counter("loam_node_io_stalled_seconds_total", "For how long all tasks of the node waited for IO at once (/proc/pressure/io, full).")
	volumeBusy      = counter("loam_volume_io_time_seconds_total", "Time during which the volume's device had requests.", volumeLabels...)
)

// collected are all of them, in the order in which they are documented.
var collected = []told{
	observed, published, poolInfo, poolReady, poolSize, poolUsed, poolPromised, poolAvailable, poolLargest, poolOver, poolMeta, poolMetaUsed, poolHealth,
	poolVolumes, poolSuspended, poolCondition, conditionSince, poolHeals, groupSize, groupFree, groupDevices, groupMeta, groupMetaFree, groupChanges,
	volumeSize, volumeMapped, volumeActive, volumeReads, volumeReadBytes, volumeReadTime, volumeWrites, volumeWritten, volumeWriteTime,
	volumeInFlight, volumeBusy, volumeFSSize, volumeFSUsed, volumeFSFree, volumeFiles, volumeFilesFree, podWaiting, podStalled, nodeWaiting, nodeStalled,
}

type collector struct{ Source }

// Describe implements prometheus.Collector.
func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range collected {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := scrape{c.Source, to}
	for _, condition := range s.Conditions() {
		s.tell(poolCondition, 1, condition.Pool, condition.Kind)
		s.tell(conditionSince, seconds(condition.Since), condition.Pool, condition.Kind)
	}
	if p, err := s.Pressure(); err == nil { // else a kernel without it
		s.tell(nodeWaiting, p.Waiting.Seconds())
		s.tell(nodeStalled, p.Stalled.Seconds())
	}
	if p := s.Published(); !p.IsZero() {
		s.tell(published, seconds(p))
	}
	report, at := s.Last()
	for _, p := range s.Pools() {
		s.tell(poolReady, truth(s.Problem(p.Name) == "" && !at.IsZero()), p.Name)
		s.tell(poolInfo, 1, p.Name, string(p.Type), p.VolumeGroup)
		s.tell(poolHeals, float64(s.Healed(p.VolumeGroup)), p.Name)
		if vg, ok := report.VolumeGroup(p.VolumeGroup); ok {
			s.group(p, vg)
			s.pool(p, vg)
		}
	}
	if !at.IsZero() {
		s.tell(observed, seconds(at))
		s.volumes(pool.Volumes(s.Pools(), report))
	}
}

// scrape is one answer.
type scrape struct {
	Source
	to chan<- prometheus.Metric
}

func (s scrape) tell(m told, value float64, labels ...string) {
	s.to <- m.Sample(m.desc, value, labels...)
}

func (s scrape) tellWith(m told, value float64, labels []*dto.LabelPair) {
	s.to <- m.SampleWith(m.desc, value, labels)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (s scrape) group(p config.Pool, vg lvm.VolumeGroup) {
	s.tell(groupSize, float64(vg.Size), p.Name, vg.Name)
	s.tell(groupFree, float64(vg.Free), p.Name, vg.Name)
	s.tell(groupMeta, float64(vg.MetadataSize), p.Name, vg.Name)
	s.tell(groupMetaFree, float64(vg.MetadataFree), p.Name, vg.Name)
	s.tell(groupChanges, float64(vg.Seqno), p.Name, vg.Name)
	states := map[string]int{"present": 0, "missing": 0, "silent": 0}
	for _, pv := range vg.PVs {
		switch {
		case pv.Silent:
			states["silent"]++
		case pv.Missing:
			states["missing"]++
		default:
			states["present"]++
		}
	}
	for state, n := range states {
		s.tell(groupDevices, float64(n), p.Name, vg.Name, state)
	}
}

func (s scrape) pool(p config.Pool, vg lvm.VolumeGroup) {
	room := pool.Space(p, vg)
	s.tell(poolSize, float64(room.Size), p.Name)
	s.tell(poolUsed, float64(room.Used), p.Name)
	s.tell(poolPromised, float64(room.Promised), p.Name)
	s.tell(poolAvailable, float64(room.Available), p.Name)
	s.tell(poolLargest, float64(room.Largest), p.Name)
	suspended := 0
	for _, lv := range vg.LVs {
		if lv.Suspended {
			suspended++
		}
	}
	s.tell(poolSuspended, float64(suspended), p.Name)
	kinds := map[volume.Kind]int{volume.Volume: 0, volume.Snapshot: 0, volume.Wiping: 0}
	for _, v := range pool.Volumes([]config.Pool{p}, lvm.Report{VolumeGroups: []lvm.VolumeGroup{vg}}) {
		kinds[v.Record.Kind]++
	}
	for kind, n := range kinds {
		s.tell(poolVolumes, float64(n), p.Name, string(kind))
	}
	lv, thin := pool.ThinPool(vg)
	if !thin || p.Type != config.Thin {
		return
	}
	s.tell(poolOver, p.Thin.Overprovision, p.Name)
	s.tell(poolMeta, float64(lv.MetadataSize), p.Name)
	s.tell(poolMetaUsed, float64(lv.MetadataUsed), p.Name)
	s.tell(poolHealth, 1, p.Name, healthOf(lv))
}

func healthOf(lv lvm.LogicalVolume) string {
	if lv.Health == lvm.Healthy {
		return "healthy"
	}
	return string(lv.Health)
}
