package cluster

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/node/volume"
)

// Volume is a volume with what Kubernetes knows of it.
type Volume struct {
	ID               string     `json:"id"`
	Node             string     `json:"node"`
	Pool             string     `json:"pool"`
	Size             lvm.Bytes  `json:"size"`
	Used             *lvm.Bytes `json:"used"` // allocated in its pool; null where its agent did not say
	FS               string     `json:"fs"`
	PersistentVolume string     `json:"persistentVolume"`
	Claim            string     `json:"claim"` // namespace/name
	Pods             []string   `json:"pods"`  // that use the claim, namespace/name
	Orphan           bool       `json:"orphan"`
	State            string     `json:"state"`
}

// Choice is which volumes to show.
type Choice struct {
	Claim   string // namespace/name; "" for all
	Node    string // "" for all
	Orphans bool   // those alone that no PersistentVolume names
}

func (c Choice) means(v Volume) bool {
	return (c.Claim == "" || v.Claim == c.Claim) && (c.Node == "" || v.Node == c.Node) && (!c.Orphans || v.Orphan)
}

// Volumes joins what agents have with what PersistentVolumes and pods name. Those of agents that did not answer are there, too, as far as
// Kubernetes knows them. Whether one is an orphan is not said while the PersistentVolumes are not known.
func Volumes(s Survey, c Choice) []Volume {
	named, users := namedBy(s.Volumes), usersOf(s.Pods)
	all, shown := []Volume{}, map[string]bool{}
	for _, g := range s.Agents {
		if g.Report == nil {
			continue
		}
		for _, v := range g.Report.Volumes {
			if v.Kind != admin.KindVolume {
				continue
			}
			shown[v.ID] = true
			row := Volume{ID: v.ID, Node: g.Node, Pool: v.Pool, Size: v.Size, Used: &v.Used, FS: v.FS, Claim: v.Claim, State: stateOf(v)}
			if pv, is := named[v.ID]; is {
				row.PersistentVolume, row.Claim = pv.Name, cmp.Or(claimName(pv), v.Claim)
			} else if !s.Unread(Persistent) && isOrphan(v, s.Now) {
				row.Orphan, row.State = true, joined(v.Health, "no PersistentVolume names it")
			}
			all = append(all, row)
		}
	}
	of := byID(s.Agents)
	for _, pv := range s.Volumes {
		if !shown[pv.Spec.CSI.VolumeHandle] {
			all = append(all, unseen(pv, of))
		}
	}
	all = slices.DeleteFunc(all, func(v Volume) bool { return !c.means(v) })
	for i := range all {
		all[i].Pods = append([]string{}, users[all[i].Claim]...)
	}
	slices.SortFunc(all, func(a, b Volume) int {
		return cmp.Or(strings.Compare(a.Claim, b.Claim), strings.Compare(a.ID, b.ID))
	})
	return all
}

// NodeOf is the node that has the volume of a claim, namespace/name, if that is one to ask; else "".
func (s Survey) NodeOf(claim string) string {
	for _, pv := range s.Volumes {
		node := handleOf(pv).Node
		if claim != "" && claimName(pv) == claim && slices.ContainsFunc(s.Own, func(p corev1.Pod) bool { return p.Spec.NodeName == node }) {
			return node
		}
	}
	return ""
}

// byID are agents by their nodes' names in volume IDs.
func byID(agents []Agent) map[string]Agent {
	of := make(map[string]Agent, len(agents))
	for _, g := range agents {
		of[g.ID()] = g
	}
	return of
}

// unseen is a volume that no agent told of.
func unseen(pv corev1.PersistentVolume, of map[string]Agent) Volume {
	id := handleOf(pv)
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	v := Volume{
		ID: pv.Spec.CSI.VolumeHandle, Node: id.Node, Pool: pv.Spec.CSI.VolumeAttributes[parameterPool], Size: lvm.Bytes(size.Value()),
		FS: pv.Spec.CSI.FSType, PersistentVolume: pv.Name, Claim: claimName(pv), State: "not known: there is no agent on its node",
	}
	if pv.Spec.VolumeMode != nil && *pv.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		v.FS = ""
	}
	g, there := of[id.Node]
	switch {
	case !there:
	case g.Report != nil && g.Report.Volumes != nil:
		v.Node, v.State = g.Node, "its node does not have it"
	default:
		v.Node, v.State = g.Node, "not known: its agent does not answer"
	}
	return v
}

// stateOf is how a volume does, in a few words.
func stateOf(v admin.Volume) string {
	switch {
	case v.Health != "":
		return v.Health
	case len(v.Mounts) > 0:
		return "mounted"
	}
	return "not mounted"
}

// handleOf is the ID in a PersistentVolume; the zero value for one that no agent could have made.
func handleOf(pv corev1.PersistentVolume) volume.ID {
	id, err := volume.ParseID(pv.Spec.CSI.VolumeHandle)
	if err != nil {
		return volume.ID{}
	}
	return id
}

// namedBy are PersistentVolumes by the volumes that they name.
func namedBy(all []corev1.PersistentVolume) map[string]corev1.PersistentVolume {
	named := make(map[string]corev1.PersistentVolume, len(all))
	for _, pv := range all {
		named[pv.Spec.CSI.VolumeHandle] = pv
	}
	return named
}

func claimName(pv corev1.PersistentVolume) string {
	if ref := pv.Spec.ClaimRef; ref != nil {
		return ref.Namespace + "/" + ref.Name
	}
	return ""
}

// claimsOf are the names of a pod's claims, those of ephemeral volumes among them (Kubernetes, "Generic ephemeral volumes").
func claimsOf(p *corev1.Pod) []string {
	var names []string
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, p.Name+"-"+v.Name)
		}
	}
	return names
}

// usersOf are the pods of each claim.
func usersOf(pods []corev1.Pod) map[string][]string {
	users := map[string][]string{}
	for i := range pods {
		for _, name := range claimsOf(&pods[i]) {
			claim := pods[i].Namespace + "/" + name
			users[claim] = append(users[claim], pods[i].Namespace+"/"+pods[i].Name)
		}
	}
	return users
}
