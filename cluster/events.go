package cluster

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Event is an event of Loam's, or of a sidecar about its volumes.
type Event struct {
	Last    time.Time `json:"last"`
	Count   int       `json:"count"`
	Type    string    `json:"type"`
	Reason  string    `json:"reason"`
	Object  string    `json:"object"` // Kind/namespace/name, or Kind/name
	From    string    `json:"from"`
	Message string    `json:"message"`
}

// isOurs goes by who reports: agents and the controller are loam-…, and the sidecars put the driver's name into theirs. Which of them leads is
// nobody's concern.
func isOurs(e corev1.Event) bool {
	from := reporter(e)
	return e.InvolvedObject.Kind != "Lease" && (strings.HasPrefix(from, "loam-") || strings.Contains(from, driver))
}

func reporter(e corev1.Event) string { return cmp.Or(e.ReportingController, e.Source.Component) }

// Events are those since a time, all for the zero time, the newest last. What was said of one object again and again is one.
func Events(all []corev1.Event, since time.Time) []Event {
	type same struct{ object, kind, reason, from, message string }
	at := map[same]int{}
	events := []Event{}
	for _, e := range all {
		event := Event{
			Last: lastOf(e), Count: countOf(e), Type: e.Type, Reason: e.Reason, Message: oneLine(e.Message),
			Object: objectOf(e.InvolvedObject), From: reporterName(e),
		}
		if !isOurs(e) || event.Last.Before(since) {
			continue
		}
		key := same{event.Object, event.Type, event.Reason, event.From, event.Message}
		i, known := at[key]
		if !known {
			at[key] = len(events)
			events = append(events, event)
			continue
		}
		events[i].Count += event.Count
		if event.Last.After(events[i].Last) {
			events[i].Last = event.Last
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(a.Last.Compare(b.Last), strings.Compare(a.Object, b.Object), strings.Compare(a.Message, b.Message))
	})
	return events
}

// reporterName is who reports; a sidecar's name goes on with its pod's, and there are several.
func reporterName(e corev1.Event) string {
	name, _, _ := strings.Cut(reporter(e), "_")
	return name
}

// lastOf is when an event was seen last: there are three places for that (events.k8s.io/v1).
func lastOf(e corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	for _, t := range []time.Time{e.EventTime.Time, e.FirstTimestamp.Time, e.CreationTimestamp.Time} {
		if last.IsZero() {
			last = t
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last.UTC()
}

func countOf(e corev1.Event) int {
	if e.Series != nil {
		return int(e.Series.Count)
	}
	return max(1, int(e.Count))
}

func objectOf(o corev1.ObjectReference) string {
	return strings.Join(slices.DeleteFunc([]string{o.Kind, o.Namespace, o.Name}, func(s string) bool { return s == "" }), "/")
}
