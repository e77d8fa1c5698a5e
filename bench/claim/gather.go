package claim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/loam-storage/loam/bench"
)

// Gather measures what is wanted, and joins it in one report with a stage for each node. Errors: ErrNoClass, ErrNoNode, ErrForbidden, with nothing
// made; ErrPartial beside a report that has what there is; ErrLeft when something could not be removed, and nothing is left in the cluster otherwise.
func (c *Client) Gather(ctx context.Context, w Wanted) (bench.Report, error) {
	if err := w.check(); err != nil {
		return bench.Report{}, err
	}
	class, err := c.class(ctx, w.Class)
	if err != nil {
		return bench.Report{}, err
	}
	if err := c.permitted(ctx, needed(w, class)); err != nil {
		return bench.Report{}, err
	}
	c.tellOfLeft(ctx)
	nodes, skipped, err := c.choose(ctx, w, class)
	if err != nil {
		return bench.Report{}, err
	}
	c.tell("", fmt.Sprintf("a claim of %v of class %s in namespace %s, measured for about %v on %s", w.Size, w.Class, c.Namespace, w.Takes, where(nodes)))
	started := time.Now()
	results := c.each(ctx, w, nodes)
	r, err := gathered(results, skipped)
	r.Started, r.Ended = started, time.Now()
	return r, err
}

func (c *Client) class(ctx context.Context, name string) (*storagev1.StorageClass, error) {
	class, err := c.Kubernetes.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return class, err
	}
	known := "which there are is not for you to see"
	if all, err := c.Kubernetes.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{}); err == nil {
		var names []string
		for _, s := range all.Items {
			names = append(names, s.Name)
		}
		known = "there are " + strings.Join(names, ", ")
		if len(names) == 0 {
			known = "there are none"
		}
	}
	return nil, fmt.Errorf("%w: %s; %s", ErrNoClass, name, known)
}

// tellOfLeft tells of other runs. They may be at work, and are nobody's to remove but who asks for it.
func (c *Client) tellOfLeft(ctx context.Context) {
	left, err := c.Left(ctx)
	if err != nil {
		c.tell("", err.Error())
	}
	for _, l := range left {
		state := "is still at work, or was left by a run that was killed"
		if l.Ended {
			state = fmt.Sprintf("has ended and was left by a run that was killed; Kubernetes removes it within %v", kept)
		}
		c.tell("", fmt.Sprintf("job %s, made at %s, %s (--cleanup removes it)", l.Job, l.Begun.UTC().Format(time.RFC3339), state))
	}
}

// choose says which nodes to measure; "" is the one that kube-scheduler chooses.
func (c *Client) choose(ctx context.Context, w Wanted, class *storagev1.StorageClass) ([]string, []Skipped, error) {
	if !w.Each && w.Node == "" {
		return []string{""}, nil, nil
	}
	candidates, err := c.candidates(ctx, class)
	if err != nil {
		return nil, nil, err
	}
	candidates.Size = w.Size
	fit, skipped := Choose(candidates)
	if w.Each {
		for _, s := range skipped {
			c.tell(s.Node, "skipped: "+s.Why)
		}
		if len(fit) == 0 {
			return nil, nil, errors.New("no node is fit to be measured")
		}
		return fit, skipped, nil
	}
	if i := slices.IndexFunc(skipped, func(s Skipped) bool { return s.Node == w.Node }); i >= 0 {
		return nil, nil, fmt.Errorf("node %s cannot be measured: %s", w.Node, skipped[i].Why)
	}
	if !slices.Contains(fit, w.Node) {
		return nil, nil, fmt.Errorf("%w: %s", ErrNoNode, w.Node)
	}
	return []string{w.Node}, nil, nil
}

// where is the nodes in words.
func where(nodes []string) string {
	switch {
	case len(nodes) > 1:
		return fmt.Sprintf("each of %d nodes", len(nodes))
	case nodes[0] == "":
		return "a node that kube-scheduler chooses"
	}
	return "node " + nodes[0]
}

// candidates reads the nodes, and what of capacity may be read.
func (c *Client) candidates(ctx context.Context, class *storagev1.StorageClass) (Candidates, error) {
	nodes, err := c.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return Candidates{}, fmt.Errorf("looking for nodes: %w", err)
	}
	found := Candidates{Nodes: nodes.Items}
	if found.Capacities, found.Tracked, err = c.capacities(ctx, class); err != nil {
		c.tell("", "on which nodes there is room is not known, and kube-scheduler will say so: "+err.Error())
	}
	return found, nil
}

// capacities are what the class's driver publishes for kube-scheduler, if it does.
func (c *Client) capacities(ctx context.Context, class *storagev1.StorageClass) (found []storagev1.CSIStorageCapacity, tracked bool, err error) {
	driver, err := c.Kubernetes.StorageV1().CSIDrivers().Get(ctx, class.Provisioner, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (driver.Spec.StorageCapacity == nil || !*driver.Spec.StorageCapacity) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	all, err := c.Kubernetes.StorageV1().CSIStorageCapacities(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, false, err
	}
	for _, published := range all.Items {
		if published.StorageClassName == class.Name {
			found = append(found, published)
		}
	}
	return found, true, nil
}

// result is what one node gave; it has a report, an error or both.
type result struct {
	node   string // "" when none was found
	report *bench.Report
	err    error
}

// each measures the nodes, in the order of which the results are.
func (c *Client) each(ctx context.Context, w Wanted, nodes []string) []result {
	results := make([]result, len(nodes))
	begun, run := time.Now(), rand.String(5)
	var group errgroup.Group
	group.SetLimit(w.Parallel)
	var done sync.Mutex // guards finished
	finished := 0
	for i, node := range nodes {
		group.Go(func() error {
			if ctx.Err() != nil {
				results[i] = result{node: node, err: errors.New("interrupted before it began")}
				return nil
			}
			results[i] = c.measure(ctx, w, fmt.Sprintf("%s-%s-%d", nameOfAll, run, i+1), node)
			done.Lock()
			defer done.Unlock()
			finished++
			if left := len(nodes) - finished; left > 0 && ctx.Err() == nil {
				c.tell("", fmt.Sprintf("%d of %d nodes are done, about %v left", finished, len(nodes), remaining(time.Since(begun), finished, left)))
			}
			return nil
		})
	}
	_ = group.Wait() // never an error
	return results
}

// remaining is how long so many nodes will take after so many took that.
func remaining(took time.Duration, done, left int) time.Duration {
	return (took / time.Duration(done) * time.Duration(left)).Round(time.Second)
}

func (c *Client) tell(node, what string) {
	if c.Tell != nil {
		c.telling.Lock()
		defer c.telling.Unlock()
		c.Tell(node, what)
	}
}
