package main

// rows are the dashboard, from what to look at first to what explains it.
var rows = []row{overview, pools, volumes, operations, controllers}

var overview = row{"Overview", []panel{
	{title: "Nodes", text: "Nodes whose agents tell of their pools.", unit: "short", kind: "stat", width: 4,
		queries: []query{{`count(loam_pools_observed_timestamp_seconds{@node})`, ""}}},
	{title: "Pools that are not up", text: "`loam pool list` on the node says why.", unit: "short", kind: "stat", width: 4,
		queries: []query{{`sum(loam_pool_ready{@pool} == bool 0)`, ""}}},
	{title: "Volumes", text: "Snapshots not counted.", unit: "short", kind: "stat", width: 4,
		queries: []query{{`sum(loam_pool_volumes{@pool,kind="volume"})`, ""}}},
	{title: "Size", text: "What the pools could hold when empty.", unit: "bytes", kind: "stat", width: 4,
		queries: []query{{`sum(loam_pool_size_bytes{@pool})`, ""}}},
	{title: "In use", text: "What is allocated of that.", unit: "percentunit", kind: "stat", width: 4,
		queries: []query{{`sum(loam_pool_used_bytes{@pool}) / sum(loam_pool_size_bytes{@pool})`, ""}}},
	{title: "Room", text: "What new volumes may ask for together.", unit: "bytes", kind: "stat", width: 4,
		queries: []query{{`sum(loam_pool_available_bytes{@pool})`, ""}}},
	{title: "What a person should know of", text: "Conditions of pools. `kubectl loam status` has them with what to do; docs/runbooks has more.", unit: "short", kind: "table", width: 12,
		queries: []query{{`sum by (instance, pool, condition) (loam_pool_condition{@pool})`, ""}}},
	{title: "Alerts", text: "Those of Loam that are pending or firing.", unit: "short", kind: "table", width: 12,
		queries: []query{{`max by (alertname, alertstate, severity, instance, pool) (ALERTS{alertname=~"Loam.*"})`, ""}}},
}}

var pools = row{"Pools", []panel{
	{title: "Data in use", text: "A thin pool takes no new volumes past stopAt, 95 % unless configured otherwise.", unit: "percentunit",
		queries: []query{{`loam_pool_used_bytes{@pool} / loam_pool_size_bytes{@pool}`, "{{instance}} {{pool}}"}}},
	{title: "Metadata in use", text: "Of thin pools. It grows with snapshots and with how scattered volumes are.", unit: "percentunit",
		queries: []query{{`loam_pool_metadata_used_bytes{@pool} / loam_pool_metadata_size_bytes{@pool}`, "{{instance}} {{pool}}"}}},
	{title: "Full in", text: "By the growth of the last six hours, with what the volume group has free counted in. A pool that does not grow has no line.", unit: "s",
		queries: []query{{`(loam_pool_size_bytes{@pool} + on (instance, pool) group_left () sum by (instance, pool) (loam_volume_group_free_bytes{@pool}) - loam_pool_used_bytes{@pool}) / (deriv(loam_pool_used_bytes{@pool}[6h]) > 0)`, "{{instance}} {{pool}}"}}},
	{title: "Promised", text: "What the volumes that exist may come to use, by the size of their pool. Above 1 the pool is over-provisioned; the limit is what the configuration permits.", unit: "percentunit",
		queries: []query{
			{`loam_pool_promised_bytes{@pool} / loam_pool_size_bytes{@pool}`, "{{instance}} {{pool}}"},
			{`loam_pool_overprovision_ratio{@pool}`, "{{instance}} {{pool}} limit"}}},
	{title: "Room for new volumes", text: "As kube-scheduler is told, before it is rounded.", unit: "bytes",
		queries: []query{{`loam_pool_available_bytes{@pool}`, "{{instance}} {{pool}}"}}},
	{title: "Free in volume groups", text: "By which thin pools can still be extended.", unit: "bytes",
		queries: []query{{`loam_volume_group_free_bytes{@pool}`, "{{instance}} {{volume_group}}"}}},
	{title: "Disks that are missing or do not answer", text: "See LoamDiskMissing and LoamDiskSilent in docs/runbooks.", unit: "short",
		queries: []query{{`sum by (instance, pool, state) (loam_volume_group_physical_volumes{@pool,state!="present"})`, "{{instance}} {{pool}} {{state}}"}}},
	{title: "Suspended devices", text: "Whoever uses them waits.", unit: "short",
		queries: []query{{`loam_pool_suspended_devices{@pool}`, "{{instance}} {{pool}}"}}},
	{title: "Mended", text: "What was mended after interrupted commands, in an hour.", unit: "short",
		queries: []query{{`increase(loam_pool_heals_total{@pool}[1h])`, "{{instance}} {{pool}}"}}},
}}

// ofVolume sums over a claim's volumes, of which there is one.
const ofVolume = "sum by (namespace, persistentvolumeclaim, instance) "

const claim = "{{namespace}}/{{persistentvolumeclaim}}"

var volumes = row{"Volumes, by claim", []panel{
	{title: "Requests", text: "Reads and writes that the volumes' devices completed.", unit: "iops",
		queries: []query{
			{ofVolume + `(rate(loam_volume_reads_completed_total{@volume}[$__rate_interval]))`, claim + " read"},
			{ofVolume + `(rate(loam_volume_writes_completed_total{@volume}[$__rate_interval]))`, claim + " write"}}},
	{title: "Bytes", text: "Read from and written to the volumes' devices.", unit: "Bps",
		queries: []query{
			{ofVolume + `(rate(loam_volume_read_bytes_total{@volume}[$__rate_interval]))`, claim + " read"},
			{ofVolume + `(rate(loam_volume_written_bytes_total{@volume}[$__rate_interval]))`, claim + " write"}}},
	{title: "Latency", text: "The mean time of a request. Without requests there is none.", unit: "s",
		queries: []query{
			{ofVolume + `(rate(loam_volume_read_time_seconds_total{@volume}[$__rate_interval])) / ` + ofVolume + `(rate(loam_volume_reads_completed_total{@volume}[$__rate_interval]))`, claim + " read"},
			{ofVolume + `(rate(loam_volume_write_time_seconds_total{@volume}[$__rate_interval])) / ` + ofVolume + `(rate(loam_volume_writes_completed_total{@volume}[$__rate_interval]))`, claim + " write"}}},
	{title: "In flight", text: "Requests that were not completed when Prometheus asked.", unit: "short",
		queries: []query{{ofVolume + `(loam_volume_io_in_flight{@volume})`, claim}}},
	{title: "Busy", text: "The share of time in which there were requests.", unit: "percentunit",
		queries: []query{{ofVolume + `(rate(loam_volume_io_time_seconds_total{@volume}[$__rate_interval]))`, claim}}},
	{title: "Pods that wait for IO", text: "The share of time in which some task of a pod with the volume waited, for any of its volumes. Needs cgroups of version 2.", unit: "percentunit",
		queries: []query{{`sum by (namespace, persistentvolumeclaim, instance, pod_uid) (rate(loam_volume_pod_io_waiting_seconds_total{@volume}[$__rate_interval]))`, claim + " {{pod_uid}}"}}},
	{title: "File systems in use", text: "Of those that are mounted.", unit: "percentunit",
		queries: []query{{ofVolume + `(loam_volume_filesystem_used_bytes{@volume}) / ` + ofVolume + `(loam_volume_filesystem_size_bytes{@volume})`, claim}}},
	{title: "Files in use", text: "Of the files that a file system can have. xfs makes room for more as it goes.", unit: "percentunit",
		queries: []query{{`1 - ` + ofVolume + `(loam_volume_filesystem_inodes_free{@volume}) / ` + ofVolume + `(loam_volume_filesystem_inodes{@volume})`, claim}}},
	{title: "Allocated in the pool", text: "What thin volumes have of their pool, by their size. It shrinks when file systems are trimmed.", unit: "percentunit",
		queries: []query{{ofVolume + `(loam_volume_mapped_bytes{@volume}) / ` + ofVolume + `(loam_volume_size_bytes{@volume})`, claim}}},
}}

var operations = row{"LVM and CSI", []panel{
	{title: "LVM's commands", text: "Processes of lvm that ended, by command.", unit: "ops",
		queries: []query{{`sum by (command) (rate(loam_lvm_command_duration_seconds_count{@node}[$__rate_interval]))`, "{{command}}"}}},
	{title: "LVM's commands, nine in ten take at most", text: "See LoamLVMSlow in docs/runbooks.", unit: "s",
		queries: []query{{`histogram_quantile(0.9, sum by (command, le) (rate(loam_lvm_command_duration_seconds_bucket{@node}[$__rate_interval])))`, "{{command}}"}}},
	{title: "LVM's commands that failed", text: "The agent's log has LVM's words.", unit: "ops",
		queries: []query{{`sum by (instance, command) (rate(loam_lvm_command_duration_seconds_count{@node,result="failed"}[$__rate_interval]))`, "{{instance}} {{command}}"}}},
	{title: "Waiting for a turn, nine in ten at most", text: "One operation is at work in a volume group at a time.", unit: "s",
		queries: []query{{`histogram_quantile(0.9, sum by (instance, le) (rate(loam_volume_group_turn_wait_seconds_bucket{@node}[$__rate_interval])))`, "{{instance}}"}}},
	{title: "Calls of CSI", text: "What kubelets and the controller asked of the agents, by method.", unit: "reqps",
		queries: []query{{`sum by (method) (rate(loam_csi_call_duration_seconds_count{@node}[$__rate_interval]))`, "{{method}}"}}},
	{title: "Calls of CSI that failed", text: "By method and gRPC code. NotFound, OutOfRange and ResourceExhausted may be the right answers.", unit: "reqps",
		queries: []query{{`sum by (method, code) (rate(loam_csi_call_duration_seconds_count{@node,code!="OK"}[$__rate_interval]))`, "{{method}} {{code}}"}}},
	{title: "Capacity published", text: "Writes of CSIStorageCapacity objects.", unit: "ops",
		queries: []query{{`sum by (result) (rate(loam_capacity_publications_total{@node}[$__rate_interval]))`, "{{result}}"}}},
	{title: "Since agents looked at their pools", text: "Ten seconds at most, unless something keeps them from it: see LoamAgentBlind in docs/runbooks.", unit: "s",
		queries: []query{{`time() - loam_pools_observed_timestamp_seconds{@node}`, "{{instance}}"}}},
	{title: "Nodes that wait for IO", text: "The share of time in which some task of the node waited for any disk. Needs a kernel with /proc/pressure.", unit: "percentunit",
		queries: []query{{`rate(loam_node_io_waiting_seconds_total{@node}[$__rate_interval])`, "{{instance}}"}}},
}}

var controllers = row{"Controller", []panel{
	{title: "Calls of the sidecars", text: "By method and gRPC code.", unit: "reqps",
		queries: []query{{`sum by (method, code) (rate(loam_controller_csi_call_duration_seconds_count[$__rate_interval]))`, "{{method}} {{code}}"}}},
	{title: "Calls of the sidecars, nine in ten take at most", text: "Agents included.", unit: "s",
		queries: []query{{`histogram_quantile(0.9, sum by (method, le) (rate(loam_controller_csi_call_duration_seconds_bucket[$__rate_interval])))`, "{{method}}"}}},
	{title: "Calls to agents", text: "By how they ended; docs/reference/metrics.md says what the words mean.", unit: "reqps",
		queries: []query{{`sum by (outcome) (rate(loam_controller_agent_calls_total[$__rate_interval]))`, "{{outcome}}"}}},
	{title: "Agents", text: "That can be reached, and that are away.", unit: "short",
		queries: []query{{`max by (state) (loam_controller_agents)`, "{{state}}"}}},
	{title: "Volumes with something wrong", text: "Events on their claims say what.", unit: "short",
		queries: []query{{`max(loam_controller_unhealthy_volumes)`, "volumes"}}},
	{title: "What nobody names", text: "Volumes and snapshots that no object of Kubernetes names. Events on their nodes name them; none is ever removed.", unit: "short",
		queries: []query{{`max by (kind) (loam_controller_orphans)`, "{{kind}}"}}},
}}
