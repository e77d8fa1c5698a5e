package claim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// stage is how far a pod is.
type stage int

const (
	waits  stage = iota // and may yet start
	cannot              // start, however long one waits
	runs
	ended
)

// hopeless are the reasons of a waiting container that time does not mend (kubelet, pkg/kubelet/images and kuberuntime). ErrImagePull is tried
// again, and is ImagePullBackOff when that failed, too.
var hopeless = []string{
	"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// look says how far a pod is, and why no further; nil is one that is not there yet.
func look(p *corev1.Pod) (stage, string) {
	if p == nil {
		return waits, "Kubernetes has not made its pod yet"
	}
	if t := terminated(p); t != nil {
		return ended, ending(p, t)
	}
	if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		return ended, joined("its pod ended", p.Status.Reason, p.Status.Message)
	}
	for _, s := range p.Status.ContainerStatuses {
		switch w := s.State.Waiting; {
		case s.State.Running != nil:
			return runs, ""
		case w != nil && slices.Contains(hopeless, w.Reason):
			return cannot, joined("its container does not start", w.Reason, w.Message)
		case w != nil && w.Message != "":
			return waits, joined("its container waits", w.Reason, w.Message)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return waits, joined("its pod has no node", c.Message)
		}
	}
	return waits, "its pod begins"
}

func terminated(p *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Terminated != nil {
			return s.State.Terminated
		}
	}
	return nil
}

// ending says what a container ended with. What it said itself is in its log.
func ending(p *corev1.Pod, t *corev1.ContainerStateTerminated) string {
	why := cmp.Or(p.Status.Message, t.Message)
	if t.Reason != "Error" && t.Reason != "Completed" {
		why = joined(t.Reason, why)
	}
	return joined(fmt.Sprintf("its container ended with exit code %d", t.ExitCode), why)
}

// complaints are the warnings that events tell of these objects, each once, the newest of a reason.
func complaints(events []corev1.Event, names ...string) []string {
	last := map[string]corev1.Event{}
	for _, e := range events {
		key := e.InvolvedObject.Name + " " + e.Reason
		if e.Type == corev1.EventTypeWarning && slices.Contains(names, e.InvolvedObject.Name) && !at(last[key]).After(at(e)) {
			last[key] = e
		}
	}
	var all []string
	for _, e := range last {
		all = append(all, fmt.Sprintf("%s %s: %s: %s", strings.ToLower(e.InvolvedObject.Kind), e.InvolvedObject.Name, e.Reason, strings.TrimSpace(e.Message)))
	}
	slices.Sort(all)
	return all
}

// at is when an event was seen last: there are three places for that (events.k8s.io/v1).
func at(e corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.FirstTimestamp.Time, e.CreationTimestamp.Time} {
		if last.IsZero() {
			last = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}

func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ": ")
}
