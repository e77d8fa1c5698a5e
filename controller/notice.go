package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// notice is what to say of an object, to whoever looks at it.
type notice struct {
	about           corev1.ObjectReference
	kind            string // of the event: Normal or Warning
	reason, message string
}

// eventName is the same for whoever says it, so that several controllers make one event.
func (n notice) eventName() string {
	sum := sha256.Sum256([]byte(string(n.about.UID) + "/" + n.reason))
	return "loam-" + hex.EncodeToString(sum[:16])
}

// event is what `kubectl describe` shows.
func (n notice) event(controller string, now time.Time) *corev1.Event {
	at := metav1.NewTime(now)
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: n.eventName(), Namespace: n.about.Namespace},
		InvolvedObject: n.about, Type: n.kind, Reason: n.reason, Message: n.message, Count: 1, FirstTimestamp: at, LastTimestamp: at,
		Source: corev1.EventSource{Component: controller},
	}
}
