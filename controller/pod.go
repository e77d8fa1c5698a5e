package controller

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// agentLabels select the agents' pods in the install's namespace.
const agentLabels = "app.kubernetes.io/name=loam,app.kubernetes.io/component=agent"

// trim keeps what the router uses of a pod: 5,000 whole pods would take tens of megabytes. It is a cache.TransformFunc, which is
// also given what is trimmed already, and tombstones.
func trim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	kept := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
		},
		Spec:   corev1.PodSpec{NodeName: pod.Spec.NodeName},
		Status: corev1.PodStatus{PodIP: pod.Status.PodIP},
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			kept.Status.Conditions = []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return kept, nil
}

// byNode names the index of pods by their node.
const byNode = "node"

func podIndexers() cache.Indexers {
	return cache.Indexers{byNode: func(object any) ([]string, error) {
		pod, ok := object.(*corev1.Pod)
		if !ok || pod.Spec.NodeName == "" { // not scheduled yet
			return nil, nil
		}
		return []string{pod.Spec.NodeName}, nil
	}}
}

// choosePod picks the pod that answers for a node among its agent's: the newest that is ready and stays, since two are there
// while an update surges. With none, why says what there is instead, in words that go into a message.
func choosePod(pods []*corev1.Pod) (chosen *corev1.Pod, why string) {
	if len(pods) == 0 {
		return nil, "there is no agent's pod on it"
	}
	newest := slices.SortedFunc(slices.Values(pods), func(a, b *corev1.Pod) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(b.Name, a.Name))
	})
	for _, pod := range newest {
		if pod.DeletionTimestamp == nil && pod.Status.PodIP != "" && ready(pod) {
			return pod, ""
		}
	}
	if newest[0].DeletionTimestamp != nil {
		return nil, fmt.Sprintf("its agent (pod %s) is stopping", newest[0].Name)
	}
	return nil, fmt.Sprintf("its agent (pod %s) is not ready", newest[0].Name)
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
