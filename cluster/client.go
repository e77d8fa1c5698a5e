package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
)

// Names that Loam's parts agree on (deploy/helm/loam, docs/reference/storageclass.md).
const (
	driver        = "loam.storage"
	topologyKey   = "loam.storage/node"
	parameterPool = "pool"

	labelComponent = "app.kubernetes.io/component"
	labelsOwn      = "app.kubernetes.io/name=loam"
	labelsAgent    = labelsOwn + "," + labelComponent + "=" + componentAgent

	componentAgent      = "agent"
	componentController = "controller"
	componentExtender   = "scheduler-extender"

	configMap = "loam"
)

// parallel is how many agents are asked at a time: each is a connection through the API server.
const parallel = 16

// Client reads a cluster and asks its agents. It may be used concurrently.
type Client struct {
	Kubernetes kubernetes.Interface
	Dynamic    dynamic.Interface // for snapshots, whose types are not Kubernetes' own
	Exec       Exec
	Namespace  string        // of Loam; Find says it where nobody else does
	Patience   time.Duration // longest wait for one agent
}

// ErrNotInstalled says that there is no Loam where it was looked for.
var ErrNotInstalled = errors.New("Loam is not installed there") //nolint:staticcheck // a name

// Find learns Loam's namespace from the DaemonSet of the agents, unless Namespace says it. Errors: ErrNotInstalled, or what
// Kubernetes refused with.
func (c *Client) Find(ctx context.Context) error {
	sets, err := c.Kubernetes.AppsV1().DaemonSets(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelsAgent})
	if apierrors.IsForbidden(err) && c.Namespace != "" {
		return nil // what else is refused, Read tells
	}
	if err != nil {
		return fmt.Errorf("looking for Loam's namespace (--loam-namespace says it): %w", err)
	}
	var found []string
	for _, s := range sets.Items {
		if !slices.Contains(found, s.Namespace) {
			found = append(found, s.Namespace)
		}
	}
	switch {
	case len(found) == 0 && c.Namespace != "":
		return fmt.Errorf("namespace %s: no DaemonSet there has the labels %s: %w",
			c.Namespace, labelsAgent, ErrNotInstalled)
	case len(found) == 0:
		return fmt.Errorf("no DaemonSet has the labels %s: %w", labelsAgent, ErrNotInstalled)
	case len(found) > 1:
		return fmt.Errorf("namespaces %s all have agents of Loam: choose one with --loam-namespace", strings.Join(found, " and "))
	}
	c.Namespace = found[0]
	return nil
}

// Image is the one that the agents of the namespace run.
func (c *Client) Image(ctx context.Context) (string, error) {
	sets, err := c.Kubernetes.AppsV1().DaemonSets(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelsAgent})
	if err != nil {
		return "", err
	}
	for _, s := range sets.Items {
		for _, container := range s.Spec.Template.Spec.Containers {
			if container.Name == componentAgent {
				return container.Image, nil
			}
		}
	}
	return "", fmt.Errorf("namespace %s: %w", c.Namespace, ErrNotInstalled)
}

// NodeNames are those of all nodes, to choose from.
func (c *Client) NodeNames(ctx context.Context) []string {
	o := c.Read(ctx, Nodes)
	names := make([]string, 0, len(o.Nodes))
	for _, n := range o.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// ClaimNames are those of all claims for volumes of Loam's, to choose from: namespace/name.
func (c *Client) ClaimNames(ctx context.Context) []string {
	o := c.Read(ctx, Claims, Classes)
	ours := map[string]bool{}
	for _, class := range o.Classes {
		ours[class.Name] = class.Provisioner == driver
	}
	var names []string
	for _, claim := range o.Claims {
		if class := claim.Spec.StorageClassName; class != nil && ours[*class] {
			names = append(names, claim.Namespace+"/"+claim.Name)
		}
	}
	return names
}
