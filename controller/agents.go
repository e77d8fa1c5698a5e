package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"google.golang.org/grpc/codes"
)

// Agents knows the agent of each node, from a watch of the agents' pods, and how to reach it. A node's name is that of its
// Kubernetes Node, under which its agent runs, too.
type Agents struct {
	client      kubernetes.Interface
	pods        cache.SharedIndexInformer
	connections *connections
}

// newAgents begins to watch once Run is called.
func newAgents(client kubernetes.Interface, namespace string, dial dialing) (*Agents, error) {
	a := &Agents{client: client, pods: informers.NewFilteredPodInformer(client, namespace, 0, podIndexers(),
		func(o *metav1.ListOptions) { o.LabelSelector = agentLabels })}
	if err := a.pods.SetTransform(trim); err != nil {
		return nil, fmt.Errorf("pods' transform: %w", err)
	}
	a.connections = &connections{dialing: dial, exists: a.exists}
	_, err := a.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if pod, ok := object.(*corev1.Pod); ok {
			a.connections.drop(pod.UID)
		}
	}})
	if err != nil {
		return nil, fmt.Errorf("pods' handler: %w", err)
	}
	return a, nil
}

// run watches until the context ends, and closes the connections.
func (a *Agents) run(ctx context.Context) {
	a.pods.RunWithContext(ctx)
	a.connections.close()
}

// exists says whether that very pod is there still.
func (a *Agents) exists(pod *corev1.Pod) bool {
	object, found, err := a.pods.GetStore().GetByKey(pod.Namespace + "/" + pod.Name)
	if err != nil || !found {
		return false
	}
	now, ok := object.(*corev1.Pod)
	return ok && now.UID == pod.UID
}

// nodes are the names of all nodes that have a pod of the agent, ready or not, in order.
func (a *Agents) nodes() []string {
	return slices.Sorted(slices.Values(a.pods.GetIndexer().ListIndexFuncValues(byNode)))
}

// count is on how many nodes an agent can be reached, and on how many it cannot though it has a pod there.
func (a *Agents) count() (ready, away int) {
	for _, node := range a.nodes() {
		pods, err := a.on(node)
		if chosen, _ := choosePod(pods); err == nil && chosen != nil {
			ready++
		} else {
			away++
		}
	}
	return ready, away
}

// goneError says that a node has left the cluster, and its volumes with it.
type goneError struct{ node string }

func (e goneError) Error() string { return fmt.Sprintf("node %s is no longer in the cluster", e.node) }

// nodeTimeout bounds the question whether a node is in the cluster.
const nodeTimeout = 10 * time.Second

// agent returns a client of a node's agent. It fails with UNAVAILABLE while the agent is away, or while nobody knows, and
// with a goneError if there is neither a pod of the agent nor a Node of that name.
func (a *Agents) agent(ctx context.Context, node string) (csi.ControllerClient, error) {
	pods, err := a.on(node)
	if err != nil {
		return nil, err
	}
	pod, why := choosePod(pods)
	if pod != nil {
		return a.connections.client(pod)
	}
	if len(pods) > 0 {
		return nil, away(node, why)
	}
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	_, err = a.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, goneError{node}
	case err != nil:
		return nil, away(node, fmt.Sprintf("%s, and whether it is in the cluster is not known (%v)", why, err))
	}
	return nil, away(node, why)
}

func (a *Agents) on(node string) ([]*corev1.Pod, error) {
	objects, err := a.pods.GetIndexer().ByIndex(byNode, node)
	if err != nil {
		return nil, refuse(codes.Internal, "pods of node %s: %v", node, err)
	}
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, object := range objects {
		if pod, ok := object.(*corev1.Pod); ok {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

func away(node, why string) error {
	return refuse(codes.Unavailable, "node %s is away: %s; try again when it is back", node, why)
}
