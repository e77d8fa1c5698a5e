package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// removal bounds how long a Job and all that belongs to it may take to go: the pod's grace, and the volume's wiping.
const removal = 3 * time.Minute

// interval is how often is looked for what changes by itself.
const interval = time.Second

// Left is what a run that was killed left, or what runs.
type Left struct {
	Job   string
	Begun time.Time
	Ended bool
}

// Left are the Jobs of all runs in the namespace.
func (c *Client) Left(ctx context.Context) ([]Left, error) {
	jobs, err := c.Kubernetes.BatchV1().Jobs(c.Namespace).List(ctx, ours(""))
	if err != nil {
		return nil, fmt.Errorf("looking for earlier runs: %w", err)
	}
	var all []Left
	for _, j := range jobs.Items {
		all = append(all, Left{j.Name, j.CreationTimestamp.Time, finished(&j)})
	}
	return all, nil
}

func finished(j *batchv1.Job) bool {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// Cleanup removes all runs in the namespace, also those that are at work, and returns what they were.
func (c *Client) Cleanup(ctx context.Context) ([]Left, error) {
	all, err := c.Left(ctx)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, l := range all {
		failed = append(failed, c.remove(ctx, l.Job))
	}
	return all, errors.Join(failed...)
}

// remove deletes a Job, and returns when it, its pod, the claim and its volume are gone. It does not end with ctx: who is interrupted wants
// nothing to stay behind.
func (c *Client) remove(ctx context.Context, job string) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), removal, fmt.Errorf("not within %v", removal))
	defer cancel()
	var volumes []string
	err := until(ctx, func() (gone bool, err error) {
		if len(volumes) == 0 {
			if volumes, err = c.releasable(ctx, job); err != nil {
				return false, err
			}
		}
		// In the foreground: the Job is there until all that belongs to it is gone.
		foreground := metav1.DeletePropagationForeground
		err = c.Kubernetes.BatchV1().Jobs(c.Namespace).Delete(ctx, job, metav1.DeleteOptions{PropagationPolicy: &foreground})
		return apierrors.IsNotFound(err), err
	})
	if err != nil {
		return fmt.Errorf("job %s in namespace %s is not gone: %w (%w)", job, c.Namespace, err, ErrLeft)
	}
	for _, v := range volumes {
		if err := until(ctx, func() (bool, error) { return c.gone(ctx, v) }); err != nil {
			return fmt.Errorf("PersistentVolume %s is not gone, nor its volume: %w (%w)", v, err, ErrLeft)
		}
	}
	return nil
}

// gone says whether a PersistentVolume is, which its driver removes once nobody claims it. It may not be for us to see.
func (c *Client) gone(ctx context.Context, volume string) (bool, error) {
	_, err := c.Kubernetes.CoreV1().PersistentVolumes().Get(ctx, volume, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err), err
}

// releasable are the volumes of a Job's claims, which are deleted with these, also where the class would keep them.
func (c *Client) releasable(ctx context.Context, job string) ([]string, error) {
	claims, err := c.Kubernetes.CoreV1().PersistentVolumeClaims(c.Namespace).List(ctx, ours(job))
	if err != nil {
		return nil, fmt.Errorf("looking for its claim: %w", err)
	}
	var volumes []string
	for _, claim := range claims.Items {
		if claim.Spec.VolumeName == "" {
			continue
		}
		volumes = append(volumes, claim.Spec.VolumeName)
		if err := c.release(ctx, claim); err != nil {
			return nil, err
		}
	}
	return volumes, nil
}

// release has a volume go with its claim.
func (c *Client) release(ctx context.Context, claim corev1.PersistentVolumeClaim) error {
	if claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := c.Kubernetes.StorageV1().StorageClasses().Get(ctx, *claim.Spec.StorageClassName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !retains(class) {
		return nil
	}
	if err != nil {
		return err
	}
	patch := fmt.Appendf(nil, `{"spec":{"persistentVolumeReclaimPolicy":%q}}`, corev1.PersistentVolumeReclaimDelete)
	_, err = c.Kubernetes.CoreV1().PersistentVolumes().Patch(ctx, claim.Spec.VolumeName, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("volume %s of class %s would be kept (reclaimPolicy Retain): %w", claim.Spec.VolumeName, class.Name, err)
	}
	return nil
}

// until asks again and again until it is so. An error of asking is that of the time-out, as API servers are away for a moment now and then.
func until(ctx context.Context, so func() (bool, error)) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		is, err := so()
		if is {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
