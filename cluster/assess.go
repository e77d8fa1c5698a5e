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

	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/volume"
)

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
		a.replicas(component, d.Status.ReadyReplicas == 0 && (wanted > 0 || component == componentController))
	}
}

// replicas looks at the pods of a Deployment, of which none may be ready.
func (a *assessment) replicas(component string, none bool) {
	severity, consequence := Warning, "pods are placed without it"
	if component == componentController {
		consequence = "volumes are neither made nor grown nor deleted"
		if none {
			severity = Critical
		}
	}
	told := false
	for _, p := range a.Own {
		why := ailment(p)
		if p.Labels[labelComponent] != component || p.DeletionTimestamp != nil || why == "" {
			continue
		}
		if none {
			why += "; none is ready, so that " + consequence
		}
		a.findings.add(severity, "", a.kubectl("describe pod %s", p.Name), "%s: pod %s %s", component, p.Name, why)
		told = true
	}
	if none && !told {
		a.findings.add(severity, "", a.kubectl("describe deployment --selector %s=%s", labelComponent, component), "%s has no pod that is ready, so that %s", component, consequence)
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
	if r.Info.CapacityProblem != "" {
		a.findings.add(Warning, g.Node, a.kubectl("logs %s", g.Pod), "kube-scheduler places pods by old figures of its room, as no new ones were published %s", oneLine(r.Info.CapacityProblem))
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
	case g.Crashes:
		next = a.kubectl("logs %s --previous", g.Pod)
	}
	a.findings.add(Critical, g.Node, next, "the agent does not answer: %s", strings.ReplaceAll(g.Problem, g.Pod, "POD"))
}

// severityOf are the conditions that only warn (node/monitor: Kind): with all others, writers fail or wait.
func severityOf(condition string) Severity {
	if slices.Contains([]string{"DataNearlyFull", "MetadataNearlyFull", "GroupMetadataNearlyFull", "PoolNotExtended", "PoolUnsettled", "MetadataNotBackedUp"}, condition) {
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
		if g.Report == nil || g.Report.Info.CapacityProblem != "" { // of which it has been told
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
