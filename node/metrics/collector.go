package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs/blockdevice"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/metric"
	"github.com/loam-storage/loam/node/config"
	"github.com/loam-storage/loam/node/pool"
	"github.com/loam-storage/loam/node/volume"
)

// Source is where a scrape finds what it tells.
type Source struct {
	Pools      func() []config.Pool           // those that are meant for this node
	Last       func() (lvm.Report, time.Time) // what was last seen of the pools, and when; zero: nothing yet
	Problem    func(pool string) string       // why a pool is not up; "" when it is
	Conditions func() []Condition
	Healed     func(volumeGroup string) int // how often something was mended in it
	Numbers    func() (lvm.Numbers, error)
	Disks      func() ([]blockdevice.Diskstats, error) // the kernel's counters
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
	observed = gauge("loam_pools_observed_timestamp_seconds", "When the agent last looked at its pools, in seconds since 1970.")

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
	volumeBusy      = counter("loam_volume_io_time_seconds_total", "Time during which the volume's device had requests.", volumeLabels...)
)

// collected are all of them, in the order in which they are documented.
var collected = []told{
	observed, poolInfo, poolReady, poolSize, poolUsed, poolPromised, poolAvailable, poolLargest, poolOver, poolMeta, poolMetaUsed, poolHealth,
	poolVolumes, poolSuspended, poolCondition, conditionSince, poolHeals, groupSize, groupFree, groupDevices, groupMeta, groupMetaFree, groupChanges,
	volumeSize, volumeMapped, volumeActive, volumeReads, volumeReadBytes, volumeReadTime, volumeWrites, volumeWritten, volumeWriteTime,
	volumeInFlight, volumeBusy,
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

// volumes tells of all but those that are being wiped.
func (s scrape) volumes(all []pool.Volume) {
	counters := s.counters()
	for _, v := range all {
		if v.Record.Kind != volume.Volume {
			continue
		}
		namespace, claim, _ := strings.Cut(v.Record.Claim, "/")
		labels := []string{v.Pool, v.LV.Name, namespace, claim}
		s.tell(volumeSize, float64(v.LV.Size), labels...)
		s.tell(volumeActive, truth(v.LV.Active), labels...)
		if v.LV.Segment == lvm.Thin {
			s.tell(volumeMapped, float64(v.LV.Mapped), labels...)
		}
		if d, ok := counters(v.Group, v.LV.Name); ok {
			s.io(d, labels)
		}
	}
}

// sector is the kernel's unit of what was read and written, whatever the disk's is (Documentation/admin-guide/iostats.rst).
const sector = 512

func (s scrape) io(d blockdevice.Diskstats, labels []string) {
	const millisecond = 1e-3
	s.tell(volumeReads, float64(d.ReadIOs), labels...)
	s.tell(volumeReadBytes, float64(d.ReadSectors)*sector, labels...)
	s.tell(volumeReadTime, float64(d.ReadTicks)*millisecond, labels...)
	s.tell(volumeWrites, float64(d.WriteIOs), labels...)
	s.tell(volumeWritten, float64(d.WriteSectors)*sector, labels...)
	s.tell(volumeWriteTime, float64(d.WriteTicks)*millisecond, labels...)
	s.tell(volumeInFlight, float64(d.IOsInProgress), labels...)
	s.tell(volumeBusy, float64(d.IOsTotalTicks)*millisecond, labels...)
}

// counters finds a volume's counters; none where the kernel does not tell, which the absence of the metrics shows.
func (s scrape) counters() (of func(vg, lv string) (blockdevice.Diskstats, bool)) {
	type number struct{ major, minor uint32 }
	numbers, err := s.Numbers()
	disks, err2 := s.Disks()
	if err != nil || err2 != nil {
		return func(string, string) (none blockdevice.Diskstats, ok bool) { return none, false }
	}
	byNumber := make(map[number]blockdevice.Diskstats, len(disks))
	for _, d := range disks {
		byNumber[number{d.MajorNumber, d.MinorNumber}] = d
	}
	return func(vg, lv string) (blockdevice.Diskstats, bool) {
		major, minor, ok := numbers.Of(vg, lv)
		d, known := byNumber[number{major, minor}]
		return d, ok && known
	}
}
