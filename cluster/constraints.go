package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/klog/v2"
)

// constraints are what keeps a pod from a node besides its volumes, a phrase each, as far as the two objects say: processors, memory and
// other pods are for kube-scheduler to weigh, whose own words are beside these (Kubernetes, "Assigning Pods to Nodes").
func constraints(p *corev1.Pod, n *corev1.Node) []string {
	var all []string
	if p.Spec.NodeName != "" && p.Spec.NodeName != n.Name {
		all = append(all, "the pod is on node "+p.Spec.NodeName)
	}
	for _, key := range slices.Sorted(maps.Keys(p.Spec.NodeSelector)) {
		if want := p.Spec.NodeSelector[key]; n.Labels[key] != want {
			all = append(all, fmt.Sprintf("the pod selects nodes with the label %s=%s", key, want))
		}
	}
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		if terms := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms; !slices.ContainsFunc(terms, func(t corev1.NodeSelectorTerm) bool { return matches(t, n) }) {
			all = append(all, "the pod's node affinity leaves it out")
		}
	}
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule || slices.ContainsFunc(p.Spec.Tolerations, func(o corev1.Toleration) bool { return tolerates(o, t) }) {
			continue
		}
		if t.Key == corev1.TaintNodeUnschedulable {
			all = append(all, "the node is cordoned")
			continue
		}
		all = append(all, fmt.Sprintf("the pod does not tolerate the node's taint %s", strings.TrimSuffix(t.Key+"="+t.Value, "=")))
	}
	return all
}

func tolerates(o corev1.Toleration, t corev1.Taint) bool {
	return o.ToleratesTaint(klog.Background(), &t, true)
}

// matches says whether a node is one of a term's, of which all requirements must hold; an empty term has no node.
func matches(t corev1.NodeSelectorTerm, n *corev1.Node) bool {
	if len(t.MatchExpressions)+len(t.MatchFields) == 0 {
		return false
	}
	holds := func(r corev1.NodeSelectorRequirement, in labels.Set) bool {
		operator := map[corev1.NodeSelectorOperator]selection.Operator{
			corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn, corev1.NodeSelectorOpExists: selection.Exists,
			corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist, corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
		}[r.Operator]
		requirement, err := labels.NewRequirement(r.Key, operator, r.Values)
		return err == nil && requirement.Matches(in)
	}
	return !slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool { return !holds(r, n.Labels) }) &&
		!slices.ContainsFunc(t.MatchFields, func(r corev1.NodeSelectorRequirement) bool { return !holds(r, labels.Set{"metadata.name": n.Name}) })
}

// unplacedBecause is what kube-scheduler says of a pod that has no node; "" for one that has.
func unplacedBecause(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && p.Spec.NodeName == "" {
			return cmp.Or(c.Message, c.Reason)
		}
	}
	return ""
}
