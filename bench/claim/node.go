package claim

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/loam-storage/loam/lvm"
)

// Candidates are what nodes are chosen from.
type Candidates struct {
	Nodes []corev1.Node
	// Capacities are those of the class, and Tracked says whether its driver publishes them for kube-scheduler (CSIDriver,
	// storageCapacity); without that every node is taken to have room.
	Capacities []storagev1.CSIStorageCapacity
	Tracked    bool
	Size       lvm.Bytes // of the claim
}

// Skipped is a node that is not measured.
type Skipped struct{ Node, Why string }

// Choose says which nodes to measure and why not the others, both by name.
func Choose(c Candidates) (fit []string, skipped []Skipped) {
	nodes := slices.SortedFunc(slices.Values(c.Nodes), func(a, b corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range nodes {
		if why := c.unfit(n); why != "" {
			skipped = append(skipped, Skipped{n.Name, why})
			continue
		}
		fit = append(fit, n.Name)
	}
	return fit, skipped
}

// unfit says why no pod of a measurement could run on a node; "" when one can.
func (c Candidates) unfit(n corev1.Node) string {
	if n.Spec.Unschedulable {
		return "it is cordoned"
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
			return strings.TrimSuffix("it is not ready: "+condition.Message, ": ")
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return "it has the taint " + t.ToString()
		}
	}
	if !c.Tracked {
		return ""
	}
	return c.small(n)
}

// small says why a node has no room, as kube-scheduler judges it (CSIStorageCapacity, maximumVolumeSize).
func (c Candidates) small(n corev1.Node) string {
	most := lvm.Bytes(-1)
	for _, published := range c.Capacities {
		selector, err := metav1.LabelSelectorAsSelector(published.NodeTopology)
		if err != nil || !selector.Matches(labels.Set(n.Labels)) {
			continue
		}
		room := published.MaximumVolumeSize
		if room == nil {
			room = published.Capacity
		}
		if room != nil {
			most = max(most, lvm.Bytes(room.Value()))
		}
	}
	switch {
	case most < 0:
		return "the class has no capacity there"
	case most < c.Size:
		return fmt.Sprintf("the class has room for %v there, and %v is wanted", most, c.Size)
	}
	return ""
}
