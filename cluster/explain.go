package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/loam-storage/loam/lvm"
)

// Explanation says where a claim's volume is, or why it has none.
type Explanation struct {
	Claim   string    `json:"claim"` // namespace/name
	Phase   string    `json:"phase"`
	Class   string    `json:"class"`
	Size    lvm.Bytes `json:"size"` // asked for
	Pods    []string  `json:"pods"` // that use it
	Summary string    `json:"summary"`
	Volume  *Volume   `json:"volume"` // null while there is none
	Nodes   []Verdict `json:"nodes"`  // those where it would fit first
	Largest *Place    `json:"largest"`
	// Scheduler is what kube-scheduler says of the pod.
	Scheduler string   `json:"scheduler"`
	Events    []Event  `json:"events"` // of the claim, the newest last
	Next      []string `json:"next"`   // what can be done
	Gaps      []Gap    `json:"gaps"`
}

// Verdict is whether a claim, with all others of its pod, would fit on a node.
type Verdict struct {
	Node    string     `json:"node"`
	Fits    bool       `json:"fits"`
	Largest *lvm.Bytes `json:"largest"` // volume that the node offers of the class; null if none
	Reasons []string   `json:"reasons"` // what is in its way there
}

// Place is the largest volume that would fit anywhere.
type Place struct {
	Node string    `json:"node"`
	Size lvm.Bytes `json:"size"`
}

// ErrNoClaim says that there is no claim of that name.
var ErrNoClaim = errors.New("there is no such claim")

// ExplainKinds are those of which Explain wants the Objects.
func ExplainKinds() []Kind {
	return []Kind{Nodes, Own, Capacities, Classes, Persistent, Claims, Pods, Occurrences, Snapshots, Contents}
}

// explaining is an explanation while it is made.
type explaining struct {
	in Survey
	Explanation
	claim *corev1.PersistentVolumeClaim
	users []*corev1.Pod
}

// Explain says where the volume of a claim, namespace/name, is or why there is none. Errors: ErrNoClaim.
func Explain(ctx context.Context, s Survey, name string) (Explanation, error) {
	i := slices.IndexFunc(s.Claims, func(c corev1.PersistentVolumeClaim) bool { return c.Namespace+"/"+c.Name == name })
	if i < 0 && s.Unread(Claims) {
		return Explanation{}, errors.New("the PersistentVolumeClaims are not known")
	}
	if i < 0 {
		return Explanation{}, fmt.Errorf("%s: %w", name, ErrNoClaim)
	}
	c := &s.Claims[i]
	size := c.Spec.Resources.Requests[corev1.ResourceStorage]
	x := explaining{in: s, claim: c, Explanation: Explanation{
		Claim: name, Phase: cmp.Or(string(c.Status.Phase), string(corev1.ClaimPending)), Size: lvm.Bytes(size.Value()),
		Pods: []string{}, Nodes: []Verdict{}, Events: []Event{}, Next: []string{}, Gaps: append([]Gap{}, s.Gaps...),
	}}
	if c.Spec.StorageClassName != nil {
		x.Class = *c.Spec.StorageClassName
	}
	x.use()
	switch {
	case c.Status.Phase == corev1.ClaimLost:
		x.Summary = fmt.Sprintf("its PersistentVolume %s is gone; what was in its volume may still be on a node", c.Spec.VolumeName)
		x.Next = append(x.Next, "kubectl loam volumes --orphans")
	case c.Spec.VolumeName != "":
		x.bound()
	default:
		x.pending(ctx)
	}
	if c.DeletionTimestamp != nil {
		x.Summary += "; it is being deleted, which waits until no pod uses it"
	}
	return x.Explanation, nil
}

// use finds the claim's pods and events.
func (x *explaining) use() {
	for i := range x.in.Pods {
		p := &x.in.Pods[i]
		if p.Namespace == x.claim.Namespace && slices.Contains(claimsOf(p), x.claim.Name) {
			x.users = append(x.users, p)
			x.Pods = append(x.Pods, p.Namespace+"/"+p.Name)
		}
	}
	for _, e := range Events(x.in.Events, x.claim.CreationTimestamp.Time) {
		if e.Object == "PersistentVolumeClaim/"+x.Claim {
			x.Events = append(x.Events, e)
		}
	}
}

// bound explains a claim that has a volume.
func (x *explaining) bound() {
	at := slices.IndexFunc(x.in.Volumes, func(pv corev1.PersistentVolume) bool { return pv.Name == x.claim.Spec.VolumeName })
	switch {
	case at < 0 && x.in.Unread(Persistent):
		x.Summary = "it is bound, and where its volume is is not known"
		return
	case at < 0:
		x.Summary = fmt.Sprintf("it is bound to PersistentVolume %s, which is not one of Loam's", x.claim.Spec.VolumeName)
		return
	}
	volumes := Volumes(x.in, Choice{Claim: x.Claim})
	i := slices.IndexFunc(volumes, func(v Volume) bool { return v.PersistentVolume == x.claim.Spec.VolumeName })
	if i < 0 {
		x.Summary = fmt.Sprintf("it is bound to PersistentVolume %s, which is of another claim", x.claim.Spec.VolumeName)
		return
	}
	v := volumes[i]
	x.Volume = &v
	x.Summary = fmt.Sprintf("its volume is on node %s, in pool %s: %s", v.Node, cmp.Or(v.Pool, "-"), v.State)
	for _, g := range x.in.Agents {
		if g.Node == v.Node && g.Report == nil {
			x.Summary += " (" + g.Problem + ")"
		}
	}
	x.growing()
	x.held(v.Node)
	if v.State != "mounted" || len(x.Nodes) > 0 {
		x.Next = append(x.Next, "kubectl loam status", "kubectl loam volumes --node "+v.Node)
	}
}

// growing tells of an expansion that is not over.
func (x *explaining) growing() {
	has := x.claim.Status.Capacity[corev1.ResourceStorage]
	if now := lvm.Bytes(has.Value()); now > 0 && x.Size > now {
		x.Summary += fmt.Sprintf("; it has %v, and %v are asked for", now, x.Size)
		for _, c := range x.claim.Status.Conditions {
			if c.Message != "" {
				x.Summary += fmt.Sprintf(" (%s: %s)", c.Type, c.Message)
			}
		}
	}
}

// held tells of pods that wait for the node that the volume is on.
func (x *explaining) held(on string) {
	for _, p := range x.users {
		why := unplacedBecause(p)
		if why == "" {
			continue
		}
		x.Scheduler = why
		x.Summary += fmt.Sprintf("; pod %s can run on that node alone, and has no place there", p.Name)
		for i := range x.in.Nodes {
			if n := &x.in.Nodes[i]; n.Name == on {
				x.Nodes = []Verdict{{Node: on, Reasons: append([]string{}, constraints(p, n)...)}}
			}
		}
		return
	}
}

// pending explains a claim that has no volume.
func (x *explaining) pending(ctx context.Context) {
	class, ok := x.class()
	if !ok {
		return
	}
	x.verdicts(ctx, class)
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	chosen := x.claim.Annotations["volume.kubernetes.io/selected-node"]
	fit := x.fitting()
	switch {
	case x.in.Unread(Capacities) || x.in.Unread(Nodes):
		x.Summary = "where it would fit is not known"
	case len(fit) == 0:
		x.nowhere()
	case waits && len(x.users) == 0:
		x.Summary = fmt.Sprintf("no pod uses it yet: StorageClass %s has a volume made when one does. It would fit on %s", class.Name, named(fit))
		x.Next = append(x.Next, "make a pod that uses it")
	case chosen != "":
		x.Summary = fmt.Sprintf("kube-scheduler has chosen node %s, and the volume is being made there", chosen)
		if n := len(x.Events); n > 0 && x.Events[n-1].Type == corev1.EventTypeWarning {
			x.Summary += ", which failed: " + x.Events[n-1].Message
		}
		x.Next = append(x.Next, "kubectl --namespace "+x.in.Namespace+" logs deployment/loam-controller --all-containers")
	case x.Scheduler != "":
		x.Summary = fmt.Sprintf("it would fit on %s, and its pod has found no node", named(fit))
		x.Next = append(x.Next, fmt.Sprintf("kubectl --namespace %s describe pod %s", x.claim.Namespace, x.user().Name))
	default:
		x.Summary = fmt.Sprintf("it fits on %s, and is about to be made", named(fit))
		x.Next = append(x.Next, "kubectl --namespace "+x.in.Namespace+" logs deployment/loam-controller --all-containers")
	}
}

// class is the claim's, if a volume of Loam's can come of it; otherwise the summary says why not.
func (x *explaining) class() (storagev1.StorageClass, bool) {
	at := slices.IndexFunc(x.in.Classes, func(c storagev1.StorageClass) bool { return c.Name == x.Class })
	next := "kubectl get storageclasses"
	switch {
	case x.claim.Spec.StorageClassName == nil:
		x.Summary = "it names no StorageClass, and there is no default one"
	case x.Class == "":
		x.Summary, next = `its storageClassName is "": it waits for a PersistentVolume that a person makes`, "kubectl get persistentvolumes"
	case x.in.Unread(Classes):
		x.Summary = "the StorageClasses are not known"
	case at < 0:
		x.Summary = fmt.Sprintf("there is no StorageClass %q; Loam's are %s", x.Class, x.ours())
	case x.in.Classes[at].Provisioner != driver:
		x.Summary = fmt.Sprintf("StorageClass %s is of %s, not of Loam, whose are %s", x.Class, x.in.Classes[at].Provisioner, x.ours())
	default:
		return x.in.Classes[at], true
	}
	x.Next = append(x.Next, next)
	return storagev1.StorageClass{}, false
}

// ours are the names of Loam's classes.
func (x *explaining) ours() string {
	var names []string
	for _, c := range x.in.Classes {
		if c.Provisioner == driver {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// nowhere explains why no node will do, and what could be done.
func (x *explaining) nowhere() {
	switch {
	case len(x.Nodes) == 0:
		x.Summary = "the cluster has no nodes"
	case x.Largest == nil:
		x.Summary = fmt.Sprintf("no node offers volumes of StorageClass %s", x.Class)
		x.Next = append(x.Next, "kubectl loam pools", "kubectl loam disks")
	case x.Size > x.Largest.Size:
		x.Summary = fmt.Sprintf("no node has room for %v: the largest volume that fits is of %v, on node %s", x.Size, x.Largest.Size, x.Largest.Node)
		x.Next = append(x.Next, fmt.Sprintf("make it anew with at most %dMi", x.Largest.Size/lvm.MiB), "add a disk: kubectl loam disks --init", "delete volumes or snapshots that nobody needs: kubectl loam volumes")
	default:
		x.Summary = "no node fits: " + cmp.Or(x.everywhere(), "those with room for it are out of reach for other reasons")
		if p := x.user(); p != nil {
			x.Next = append(x.Next, fmt.Sprintf("kubectl --namespace %s describe pod %s", p.Namespace, p.Name))
		}
		if from := x.claim.Spec.DataSource; from != nil {
			x.Next = append(x.Next, fmt.Sprintf("kubectl --namespace %s describe %s %s", x.claim.Namespace, strings.ToLower(from.Kind), from.Name))
		}
		x.Next = append(x.Next, "kubectl loam status")
	}
}

// everywhere is what is in the way on all nodes; "" if that differs.
func (x *explaining) everywhere() string {
	same := strings.Join(x.Nodes[0].Reasons, "; ")
	if slices.ContainsFunc(x.Nodes, func(v Verdict) bool { return strings.Join(v.Reasons, "; ") != same }) {
		return ""
	}
	return same
}

func (x *explaining) fitting() []string {
	var names []string
	for _, v := range x.Nodes {
		if v.Fits {
			names = append(names, v.Node)
		}
	}
	return names
}

// named names nodes, the first of many.
func named(nodes []string) string {
	const most = 4
	switch {
	case len(nodes) == 1:
		return "node " + nodes[0]
	case len(nodes) > most:
		return fmt.Sprintf("nodes %s and %d more", strings.Join(nodes[:most], ", "), len(nodes)-most)
	}
	return "nodes " + strings.Join(nodes, ", ")
}
