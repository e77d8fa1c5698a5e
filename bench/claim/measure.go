package claim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// measure makes a Job, waits for what its pod says, and removes it.
func (c *Client) measure(ctx context.Context, w Wanted, job, node string) (r result) {
	r.node = node
	defer func() { r.err = errors.Join(r.err, c.remove(ctx, job)) }()
	if _, err := c.Kubernetes.BatchV1().Jobs(c.Namespace).Create(ctx, w.job(job, node), metav1.CreateOptions{}); err != nil {
		r.err = err
		return r
	}
	pod, err := c.started(ctx, w, job, node)
	if err != nil {
		r.err = err
		return r
	}
	r.node = pod.Spec.NodeName
	ctx, cancel := context.WithTimeoutCause(ctx, w.Timeout, fmt.Errorf("it did not end within %v (--timeout waits longer)", w.Timeout))
	defer cancel()
	said := &transcript{tell: func(line string) { c.tell(r.node, strings.TrimPrefix(line, "loam bench: ")) }}
	r.err = c.listen(ctx, job, pod, said)
	report, err := said.report()
	switch {
	case err == nil:
		r.report = &report
	case r.err == nil || !errors.Is(err, errNoReport):
		r.err = errors.Join(r.err, err)
	}
	return r
}

// worthTelling is how long a pod waits for one thing until that is told: on its way, it waits for many things for a moment.
const worthTelling = 5 * time.Second

// started waits until a Job's pod runs or has ended, and tells meanwhile what it waits for.
func (c *Client) started(ctx context.Context, w Wanted, job, node string) (*corev1.Pod, error) {
	patience, cancel := context.WithTimeoutCause(ctx, w.Patience, fmt.Errorf("it did not start within %v (--start-timeout waits longer)", w.Patience))
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for is, told, since := "", "", time.Now(); ; {
		_, _ = c.releasable(ctx, job) // early, as this program may be killed; what fails here is tried again when it ends
		pod, stage, why := c.glance(ctx, job)
		switch {
		case patience.Err() != nil:
		case stage == cannot:
			return nil, errors.New(why)
		case stage == runs || stage == ended:
			return pod, nil
		case why != is:
			is, since = why, time.Now()
		case why != told && time.Since(since) >= worthTelling:
			told = why
			c.tell(node, why)
		}
		select {
		case <-patience.Done():
			if ctx.Err() != nil {
				return nil, errors.New("interrupted before it started")
			}
			return nil, c.explained(ctx, context.Cause(patience), job, pod, is)
		case <-ticker.C:
		}
	}
}

// glance says how far a Job's pod is. What cannot be asked now may be in a moment.
func (c *Client) glance(ctx context.Context, job string) (*corev1.Pod, stage, string) {
	pod, err := c.pod(ctx, job)
	if err != nil {
		return nil, waits, err.Error()
	}
	if pod == nil {
		if refused, err := c.events(ctx, job); err == nil && len(refused) > 0 {
			return nil, cannot, "Kubernetes makes no pod: " + strings.Join(refused, "; ")
		}
	}
	stage, why := look(pod)
	return pod, stage, why
}

// pod is a Job's, nil when it is not there (yet).
func (c *Client) pod(ctx context.Context, job string) (*corev1.Pod, error) {
	pods, err := c.Kubernetes.CoreV1().Pods(c.Namespace).List(ctx, ours(job))
	if err != nil || len(pods.Items) == 0 {
		return nil, err
	}
	return &pods.Items[0], nil
}

// explained is an error with all that is known of a pod that does not start.
func (c *Client) explained(ctx context.Context, err error, job string, pod *corev1.Pod, why string) error {
	names := []string{job}
	if pod != nil {
		names = append(names, pod.Name, claimName(pod.Name))
	}
	all, failed := c.events(ctx, names...)
	if failed != nil {
		all = []string{"events are not known: " + failed.Error()}
	}
	return errors.New(strings.Join(append([]string{joined(err.Error(), why)}, all...), "\n  "))
}

func (c *Client) events(ctx context.Context, names ...string) ([]string, error) {
	events, err := c.Kubernetes.CoreV1().Events(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return complaints(events.Items, names...), nil
}

// listen reads what a pod says until it has ended. When ctx ends, the pod is told to, and what it says then is still read. The error is what
// the pod ended with.
func (c *Client) listen(ctx context.Context, job string, pod *corev1.Pod, said *transcript) error {
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	heard, end := context.WithCancel(context.Background())
	var group errgroup.Group
	var why error
	group.Go(func() error {
		defer end()
		why = c.follow(reading, pod, said)
		return nil
	})
	var removed error
	select {
	case <-heard.Done():
	case <-ctx.Done():
		removed = c.remove(ctx, job)
		stop() // the pod is gone, and its log with it
	}
	_ = group.Wait() // never an error
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), removed)
	}
	return why
}

// attempts are how often a result is looked for in the log of a pod that has ended.
const attempts = 5

// follow reads a pod's log until its result is there, again and again, as a connection may break before. A pod that ended without one was killed,
// or is of an image that knows no `loam bench pod`.
func (c *Client) follow(ctx context.Context, pod *corev1.Pod, said *transcript) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	pods := c.Kubernetes.CoreV1().Pods(c.Namespace)
	for tries := 0; ; {
		before, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || ctx.Err() != nil {
			return errors.New("its pod was deleted")
		}
		log, failed := pods.GetLogs(pod.Name, &corev1.PodLogOptions{Container: container, Follow: true}).Stream(ctx)
		if failed == nil {
			failed = errors.Join(said.read(log), log.Close())
		}
		if said.ended {
			return said.failed()
		}
		if stage, why := look(before); err == nil && stage == ended {
			if tries++; tries == attempts {
				return errors.Join(errors.New(joined(why, strings.TrimPrefix(said.last, "loam: "))), failed)
			}
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
