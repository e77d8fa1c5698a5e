package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/volume"
)

// Survey is what a status is assessed from.
type Survey struct {
	Namespace string
	Objects
	Agents []Agent
	Now    time.Time
}

// StatusKinds are those of which Assess wants the Objects.
func StatusKinds() []Kind {
	return []Kind{Nodes, Own, DaemonSets, Deployments, Capacities, Classes, Persistent}
}

// Unread says whether a kind could not be read.
func (s Survey) Unread(kind Kind) bool {
	return slices.ContainsFunc(s.Gaps, func(g Gap) bool { return g.What == string(kind) })
}

// Silent are the agents that did not answer, those for the same reason together.
func (s Survey) Silent() []Finding {
	a := assessment{Survey: s}
	for _, g := range s.Agents {
		if g.Report == nil {
			a.silent(g)
		}
	}
	return a.findings.sorted()
}

// VersionRow is a version that some agents have.
type VersionRow struct {
	Version string   `json:"version"`
	Nodes   []string `json:"nodes"`
}

// Versions are those of all agents that answered.
func Versions(s Survey) []VersionRow {
	rows := []VersionRow{}
	for _, g := range s.Agents {
		if g.Report == nil {
			continue
		}
		version := cmp.Or(g.Report.Info.Version, "-")
		i := slices.IndexFunc(rows, func(r VersionRow) bool { return r.Version == version })
		if i < 0 {
			i, rows = len(rows), append(rows, VersionRow{Version: version})
		}
		rows[i].Nodes = append(rows[i].Nodes, g.Node)
	}
	slices.SortFunc(rows, func(a, b VersionRow) int { return strings.Compare(a.Version, b.Version) })
	return rows
}

// Status is how Loam does in a cluster.
type Status struct {
	Namespace string   `json:"namespace"`
	Versions  []string `json:"versions"` // of the agents
	Parts     []Part   `json:"parts"`
	Answered  int      `json:"answered"` // agents
	Volumes   int      `json:"volumes"`
	Snapshots int      `json:"snapshots"`
	Orphans   int      `json:"orphans"`

	Pools    []PoolSum `json:"pools"`
	Nodes    []NodeRow `json:"nodes"` // the worst first
	Findings []Finding `json:"findings"`
	Gaps     []Gap     `json:"gaps"`
}

// partAgents is the Part that the agents are.
const partAgents = "agents"

// Part is one of Loam's workloads.
type Part struct {
	Name   string `json:"name"`
	Ready  int    `json:"ready"`
	Wanted int    `json:"wanted"`
}

// PoolSum is a pool's name on all nodes that have one of it.
type PoolSum struct {
	Name      string    `json:"name"`
	Types     []string  `json:"types"`
	Nodes     int       `json:"nodes"`
	Ready     int       `json:"ready"` // nodes where it is
	Size      lvm.Bytes `json:"size"`
	Used      lvm.Bytes `json:"used"`
	Promised  lvm.Bytes `json:"promised"`
	Available lvm.Bytes `json:"available"`
	Largest   lvm.Bytes `json:"largest"` // volume that one of the nodes would take
}

// NodeRow is one node.
type NodeRow struct {
	Node      string    `json:"node"`
	State     string    `json:"state"` // "ok", or the worst that was found
	Severity  Severity  `json:"severity"`
	Version   string    `json:"version"` // of its agent; "" if that did not answer
	Pools     []string  `json:"pools"`
	Volumes   int       `json:"volumes"`
	Size      lvm.Bytes `json:"size"`
	Used      lvm.Bytes `json:"used"`
	Available lvm.Bytes `json:"available"`
}

// Complete says whether all that there is was read, and every agent that there should be answered.
func (s Status) Complete() bool { return len(s.Gaps) == 0 && s.missing() <= 0 }

// missing are the agents that did not answer.
func (s Status) missing() int {
	wanted := len(s.Nodes)
	for _, p := range s.Parts {
		if p.Name == partAgents {
			wanted = max(wanted, p.Wanted)
		}
	}
	return wanted - s.Answered
}

// settling is how long a volume may have no PersistentVolume: one comes after its volume is made.
const settling = 10 * time.Minute

// Assess says how Loam does.
func Assess(s Survey) Status {
	a := assessment{Survey: s}
	a.parts()
	a.absent()
	for _, agent := range s.Agents {
		a.agent(agent)
	}
	a.volumes()
	a.capacity()
	status := Status{
		Namespace: s.Namespace, Versions: []string{}, Parts: a.workloads, Pools: sums(s.Agents), Findings: a.findings.sorted(),
		Orphans: a.orphans, Gaps: append([]Gap{}, s.Gaps...),
	}
	for _, agent := range s.Agents {
		if agent.Report != nil {
			status.Answered++
			status.Volumes += count(agent.Report.Volumes, admin.KindVolume)
			status.Snapshots += count(agent.Report.Volumes, admin.KindSnapshot)
		}
	}
	for _, v := range Versions(s) {
		status.Versions = append(status.Versions, v.Version)
	}
	status.Nodes = a.rows(status.Findings)
	return status
}

type assessment struct {
	Survey
	findings  findings
	workloads []Part
	orphans   int
}

func (a *assessment) kubectl(format string, args ...any) string {
	return "kubectl --namespace " + a.Namespace + " " + fmt.Sprintf(format, args...)
}

// parts looks at Loam's workloads.
func (a *assessment) parts() {
	for _, d := range a.DaemonSets {
		a.workloads = append(a.workloads, Part{partAgents, int(d.Status.NumberReady), int(d.Status.DesiredNumberScheduled)})
		if created := len(agentPods(a.Own, "")) + unplaced(a.Own); !a.Unread(Own) && created < int(d.Status.DesiredNumberScheduled) {
			a.findings.add(Warning, "", a.kubectl("describe daemonset %s", d.Name), "%d of %d agents have no pod", int(d.Status.DesiredNumberScheduled)-created, d.Status.DesiredNumberScheduled)
		}
	}
	deployments := map[string]appsv1.Deployment{}
	for _, d := range a.Deployments {
		deployments[d.Labels[labelComponent]] = d
	}
	for _, component := range []string{componentController, componentExtender} {
		d, there := deployments[component]
		if !there {
			if component == componentController && !a.Unread(Deployments) {
				a.findings.add(Critical, "", a.kubectl("get deployments"), "there is no controller: volumes are neither made nor grown nor deleted")
			}
			continue
		}
		wanted := 1
		if d.Spec.Replicas != nil {
			wanted = int(*d.Spec.Replicas)
		}
		a.workloads = append(a.workloads, Part{component, int(d.Status.ReadyReplicas), wanted})
		a.replicas(component, d.Status.ReadyReplicas == 0 && wanted > 0)
	}
}

// replicas looks at the pods of a Deployment.
func (a *assessment) replicas(component string, none bool) {
	consequence, severity := "", Warning
	switch {
	case none && component == componentController:
		consequence, severity = "; none is ready, so that volumes are neither made nor grown nor deleted", Critical
	case none:
		consequence = "; none is ready, so that pods are placed without it"
	}
	for _, p := range a.Own {
		if why := ailment(p); p.Labels[labelComponent] == component && p.DeletionTimestamp == nil && why != "" {
			a.findings.add(severity, "", a.kubectl("describe pod %s", p.Name), "%s: pod %s %s%s", component, p.Name, why, consequence)
			none = false
		}
	}
	if none {
		a.findings.add(severity, "", a.kubectl("describe deployment --selector %s=%s", labelComponent, component), "%s has no pod%s", component, strings.TrimSuffix(consequence, "; none is ready"))
	}
}

// unplaced counts agents' pods without a node.
func unplaced(own []corev1.Pod) (n int) {
	for _, p := range own {
		if p.Labels[labelComponent] == componentAgent && p.Spec.NodeName == "" {
			n++
		}
	}
	return n
}

// absent finds nodes that have volumes and no agent.
func (a *assessment) absent() {
	for _, p := range a.Own {
		if p.Labels[labelComponent] == componentAgent && p.Spec.NodeName == "" {
			a.findings.add(Warning, "", a.kubectl("describe pod %s", p.Name), "agent's pod %s %s", p.Name, ailment(p))
		}
	}
	if a.Unread(Own) {
		return
	}
	held := map[string]int{}
	for _, v := range a.Volumes {
		held[handleOf(v).Node]++
	}
	for _, id := range slices.Sorted(maps.Keys(held)) {
		if slices.ContainsFunc(a.Agents, func(g Agent) bool { return g.ID() == id || g.Node == id }) {
			continue
		}
		there := slices.ContainsFunc(a.Nodes, func(n corev1.Node) bool { return n.Name == id })
		switch {
		case there:
			a.findings.add(Critical, id, a.kubectl("get pods --output wide --selector %s=%s", labelComponent, componentAgent), "there is no agent, and PersistentVolumes name volumes there: pods that start there wait for them")
		case !a.Unread(Nodes):
			a.findings.add(Critical, id, "kubectl loam volumes --node "+id, "the cluster has no such node, and PersistentVolumes name volumes there (docs/install.md says how to give them up)")
		}
	}
}

// agent looks at one node.
func (a *assessment) agent(g Agent) {
	if g.Report == nil {
		a.silent(g)
		return
	}
	r := g.Report
	for _, p := range r.Problems {
		a.findings.add(Warning, g.Node, a.kubectl("logs %s", g.Pod), "%s", p)
	}
	if r.Info.ConfigProblem != "" {
		a.findings.add(Warning, g.Node, a.kubectl("edit configmap %s", configMap), "the configuration is not in use, but the last good version of it: %s", oneLine(r.Info.ConfigProblem))
	}
	for _, p := range r.Pools {
		next := "kubectl loam pools --node " + g.Node
		if p.Problem != "" {
			a.findings.add(Critical, g.Node, next, "pool %s gives nothing: %s", p.Name, p.Problem)
		}
		for _, c := range p.Conditions {
			a.findings.add(severityOf(c.Kind), g.Node, next, "pool %s: %s: %s", p.Name, c.Kind, c.Message)
		}
	}
	for _, d := range r.Disks {
		if d.State == admin.DiskRefused && d.Pool != "" {
			a.findings.add(Notice, g.Node, "kubectl loam disks --node "+g.Node, "pool %s does not take disk %s: %s", d.Pool, d.Path, d.Reason)
		}
	}
	for _, v := range r.Volumes {
		if v.Health != "" && v.Kind == admin.KindVolume {
			a.findings.add(Critical, g.Node, "kubectl loam volumes --node "+g.Node, "volume %s is not well: %s", cmp.Or(v.Claim, v.ID), v.Health)
		}
	}
}

// silent tells of an agent that did not answer.
func (a *assessment) silent(g Agent) {
	next := a.kubectl("describe pod %s", g.Pod)
	switch {
	case g.Refused:
		next = a.kubectl("auth can-i create pods/exec")
	case strings.Contains(g.Problem, "CrashLoopBackOff"):
		next = a.kubectl("logs %s --previous", g.Pod)
	}
	a.findings.add(Critical, g.Node, next, "the agent does not answer: %s", strings.ReplaceAll(g.Problem, g.Pod, "POD"))
}

// severityOf are the conditions that only warn (node/monitor: Kind): with all others, writers fail or wait.
func severityOf(condition string) Severity {
	if slices.Contains([]string{"DataNearlyFull", "MetadataNearlyFull", "GroupMetadataNearlyFull", "PoolNotExtended", "MetadataNotBackedUp"}, condition) {
		return Warning
	}
	return Critical
}

// volumes compares those that agents have with those that PersistentVolumes name. Neither is judged by what could not be read.
func (a *assessment) volumes() {
	if a.Unread(Persistent) {
		return
	}
	named, on := namedBy(a.Volumes), map[string][]corev1.PersistentVolume{}
	for _, pv := range a.Volumes {
		if pv.DeletionTimestamp == nil && pv.Status.Phase == corev1.VolumeBound {
			node := handleOf(pv).Node
			on[node] = append(on[node], pv)
		}
	}
	for _, g := range a.Agents {
		if g.Report == nil || g.Report.Volumes == nil {
			continue
		}
		there := map[string]bool{}
		for _, v := range g.Report.Volumes {
			there[v.ID] = true
			if _, is := named[v.ID]; !is && isOrphan(v, a.Now) {
				a.orphans++
				a.findings.add(Notice, g.Node, "kubectl loam volumes --orphans", "there are volumes that no PersistentVolume names: nobody will ask for their deletion")
			}
		}
		for _, pv := range on[g.ID()] {
			if !there[pv.Spec.CSI.VolumeHandle] {
				a.findings.add(Critical, g.Node, "kubectl describe persistentvolume "+pv.Name, "PersistentVolume %s of claim %s names a volume that is not there", pv.Name, claimName(pv))
			}
		}
	}
}

// isOrphan says whether a volume that no PersistentVolume names should have one.
func isOrphan(v admin.Volume, now time.Time) bool {
	id, err := volume.ParseID(v.ID)
	return v.Kind == admin.KindVolume && err == nil && volume.Provisioned(id.LV) && now.Sub(v.Created) > settling
}

// capacity finds nodes that could give volumes of a class and do not say so to kube-scheduler. Classes that leave nodes out
// (allowedTopologies) are not judged.
func (a *assessment) capacity() {
	if a.Unread(Capacities) || a.Unread(Classes) {
		return
	}
	published := map[[2]string]bool{} // node's ID, class
	for _, c := range a.Capacities {
		if c.NodeTopology != nil {
			published[[2]string{c.NodeTopology.MatchLabels[topologyKey], c.StorageClassName}] = true
		}
	}
	for _, g := range a.Agents {
		if g.Report == nil {
			continue
		}
		for _, class := range a.Classes {
			if class.Provisioner != driver || len(class.AllowedTopologies) > 0 || published[[2]string{g.ID(), class.Name}] {
				continue
			}
			wanted := class.Parameters[parameterPool]
			if slices.ContainsFunc(g.Report.Pools, func(p admin.Pool) bool { return p.Ready && (wanted == "" || wanted == p.Name) }) {
				a.findings.add(Warning, g.Node, a.kubectl("logs %s", g.Pod), "no capacity is published for StorageClass %s: kube-scheduler places no pod there that needs a new volume of it", class.Name)
			}
		}
	}
}

// rows are the nodes, those with the worst first.
func (a *assessment) rows(all []Finding) []NodeRow {
	worst := map[string]Finding{}
	for _, f := range slices.Backward(all) {
		for _, n := range f.Nodes {
			worst[n] = f
		}
	}
	rows := make([]NodeRow, 0, len(a.Agents))
	for _, g := range a.Agents {
		row := NodeRow{Node: g.Node, State: "ok", Pools: []string{}}
		if f, wrong := worst[g.Node]; wrong {
			row.State, row.Severity = f.What, f.Severity
		}
		if g.Report != nil {
			row.Version, row.Volumes = cmp.Or(g.Report.Info.Version, "-"), count(g.Report.Volumes, admin.KindVolume)
			for _, p := range g.Report.Pools {
				row.Pools = append(row.Pools, p.Name)
				row.Size, row.Used, row.Available = row.Size+p.Size, row.Used+p.Used, row.Available+p.Available
			}
		}
		rows = append(rows, row)
	}
	rank := func(r NodeRow) int {
		if r.Severity == "" {
			return len(Critical)
		}
		return r.Severity.rank()
	}
	slices.SortStableFunc(rows, func(x, y NodeRow) int { return cmp.Compare(rank(x), rank(y)) })
	return rows
}

// sums add pools of one name up.
func sums(agents []Agent) []PoolSum {
	of := map[string]*PoolSum{}
	for _, g := range agents {
		if g.Report == nil {
			continue
		}
		for _, p := range g.Report.Pools {
			s := of[p.Name]
			if s == nil {
				s = &PoolSum{Name: p.Name}
				of[p.Name] = s
			}
			s.Nodes++
			if p.Ready {
				s.Ready++
			}
			if !slices.Contains(s.Types, p.Type) {
				s.Types = append(s.Types, p.Type)
			}
			s.Size, s.Used, s.Promised, s.Available = s.Size+p.Size, s.Used+p.Used, s.Promised+p.Promised, s.Available+p.Available
			s.Largest = max(s.Largest, p.Largest)
		}
	}
	all := make([]PoolSum, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, *of[name])
	}
	return all
}

func count(volumes []admin.Volume, kind admin.Kind) (n int) {
	for _, v := range volumes {
		if v.Kind == kind {
			n++
		}
	}
	return n
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
