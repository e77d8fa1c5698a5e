package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/node/admin"
)

// Agent is an agent's pod, and what it answered.
type Agent struct {
	Node   string        `json:"node"` // the name of its Node object
	Pod    string        `json:"pod"`
	Report *admin.Report `json:"report"` // nil: there was no answer
	// Problem says why there was none, a sentence; "" when there was.
	Problem string `json:"problem"`
	// Away says that it does not run, or that its node is away.
	Away bool `json:"away"`
	// Crashes says that it began and ended, and what it said then is in the log of the container before.
	Crashes bool `json:"crashes"`
	// Refused says that it is for want of permission.
	Refused bool `json:"refused"`
}

// ID is the node's name in topologies and volume IDs.
func (a Agent) ID() string {
	if a.Report == nil {
		return a.Node
	}
	return cmp.Or(a.Report.Info.Node, a.Node)
}

// Ask asks the agents among Loam's pods, on one node or on all for "", and returns them by their nodes' names. A node whose
// kubelet is away is not asked, if the Nodes are known.
func (c *Client) Ask(ctx context.Context, o Objects, node string) []Agent {
	pods := agentPods(o.Own, node)
	away := silentNodes(o.Nodes)
	agents := make([]Agent, len(pods))
	forbidden := c.forbidden(ctx)
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, p := range pods {
		group.Go(func() error {
			why, gone := away[p.Spec.NodeName]
			agents[i] = Agent{Node: p.Spec.NodeName, Pod: p.Name, Problem: why, Away: gone}
			switch {
			case gone:
			case forbidden != "":
				agents[i].Problem, agents[i].Refused = forbidden, true
			default:
				c.ask(ctx, p, &agents[i])
			}
			return nil
		})
	}
	_ = group.Wait() // never an error
	return agents
}

// forbidden says why commands in Loam's pods are not permitted; "" when they are, or it is not known. The answers to such commands would
// have it only as text.
func (c *Client) forbidden(ctx context.Context) string {
	review, err := c.Kubernetes.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: c.Namespace, Verb: "create", Resource: "pods", Subresource: "exec",
		}},
	}, metav1.CreateOptions{})
	if err != nil || review.Status.Allowed {
		return ""
	}
	return joined("commands in its pod are not permitted to you (create pods/exec in namespace "+c.Namespace+")", review.Status.Reason)
}

// agentPods are those to ask: of two on one node, the one that stays.
func agentPods(own []corev1.Pod, node string) []corev1.Pod {
	of := map[string]corev1.Pod{}
	for _, p := range own {
		if p.Labels[labelComponent] != componentAgent || p.Spec.NodeName == "" || node != "" && p.Spec.NodeName != node {
			continue
		}
		before, known := of[p.Spec.NodeName]
		if !known || before.DeletionTimestamp != nil || p.DeletionTimestamp == nil && before.CreationTimestamp.Before(&p.CreationTimestamp) {
			of[p.Spec.NodeName] = p
		}
	}
	pods := make([]corev1.Pod, 0, len(of))
	for _, p := range of {
		pods = append(pods, p)
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return strings.Compare(a.Spec.NodeName, b.Spec.NodeName) })
	return pods
}

// silentNodes are those whose kubelet says nothing, and why, as far as Kubernetes knows.
func silentNodes(nodes []corev1.Node) map[string]string {
	away := map[string]string{}
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown {
				away[n.Name] = "the node is away: " + joined(c.Reason, c.Message)
			}
		}
	}
	return away
}

func (c *Client) ask(ctx context.Context, p corev1.Pod, a *Agent) {
	if why := ailment(p); why != "" && !runs(p, componentAgent) {
		a.Problem, a.Away, a.Crashes = "its pod "+why, true, crashes(p)
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Patience, fmt.Errorf("no answer within %v", c.Patience))
	defer cancel()
	answer, err := c.Exec(ctx, Container{p.Namespace, p.Name, componentAgent}, "loam", "report", "--timeout", c.Patience.String())
	if err != nil {
		a.Problem = problem(ctx, err)
		return
	}
	a.Report, err = parseReport(answer)
	if err != nil {
		a.Problem = err.Error()
	}
}

// problem says why an agent gave no answer.
func problem(ctx context.Context, err error) string {
	if ctx.Err() != nil && !errors.Is(err, errTooLong) {
		return context.Cause(ctx).Error()
	}
	return err.Error()
}

// parseReport reads what `loam report` printed. Keys of newer agents are left, and what older ones do not say is nil.
func parseReport(answer []byte) (*admin.Report, error) {
	var r admin.Report
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w: %.60q", err, answer)
	}
	if r.Info.Node == "" {
		return nil, fmt.Errorf("its answer names no node: %.60q", answer)
	}
	return &r, nil
}

// ailment says why a pod is not ready, as the end of a sentence; "" when it is.
func ailment(p corev1.Pod) string {
	if p.DeletionTimestamp != nil {
		return "is being deleted"
	}
	if why := stopped(p); why != "" {
		return why
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
			return "has no node: " + joined(c.Reason, c.Message)
		}
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	if p.Status.Phase != corev1.PodRunning {
		return "is " + strings.ToLower(cmp.Or(string(p.Status.Phase), "new"))
	}
	for _, s := range p.Status.ContainerStatuses {
		if !s.Ready {
			return fmt.Sprintf("is not ready: container %s", s.Name)
		}
	}
	return "is not ready"
}

// stopped says which container of a pod does not run, if that is not because it begins.
func stopped(p corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
			return fmt.Sprintf("waits: container %s: %s", s.Name, joined(w.Reason, w.Message))
		}
		if t := s.State.Terminated; t != nil {
			return fmt.Sprintf("has ended: container %s: %s", s.Name, joined(t.Reason, t.Message))
		}
	}
	return ""
}

// crashes says whether a container of a pod ended and is to be started again.
func crashes(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && (s.RestartCount > 0 || s.LastTerminationState.Terminated != nil)
	})
}

// runs says whether a container of a pod does.
func runs(p corev1.Pod, name string) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name && s.State.Running != nil })
}

func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ": ")
}
