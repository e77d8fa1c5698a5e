package controller

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/loam-storage/loam/node/volume"
)

// ailment is one thing that is wrong with a volume, by the reason that its agent gives.
type ailment struct {
	volume volume.ID
	reason string
}

// news is what to tell of a volume now.
type news struct {
	ailment
	message string
	over    bool // it is no longer so
}

// ailmentsOf are those of all volumes that agents tell of, with their messages; volumes is how many there are.
func ailmentsOf(healths map[string][]*csi.VolumeHealth) (all map[ailment]string, volumes int) {
	all = map[ailment]string{}
	for node, entries := range healths {
		for _, h := range entries {
			id, err := volume.ParseID(h.GetVolumeId())
			if err != nil || id.Node != node || len(h.GetHealthStatuses()) == 0 {
				continue // not of this agent's volumes
			}
			volumes++
			for _, s := range h.GetHealthStatuses() {
				all[ailment{id, s.GetReason()}] = s.GetMessage()
			}
		}
	}
	return all, volumes
}

// newsOf are those to tell of, in order: of what nothing was told yet or too long ago, and of what was told and is over. Of a node
// that did not answer nothing is known. next is what will have been told then.
func newsOf(sick map[ailment]string, answered func(node string) bool, told map[ailment]time.Time, now time.Time) (all []news, next map[ailment]time.Time) {
	next = map[ailment]time.Time{}
	for one, at := range told {
		if _, still := sick[one]; still || !answered(one.volume.Node) {
			next[one] = at
		} else {
			all = append(all, news{ailment: one, over: true})
		}
	}
	for one, message := range sick {
		if at, known := next[one]; !known || now.Sub(at) >= adviceReminder {
			all, next[one] = append(all, news{ailment: one, message: message}), now
		}
	}
	slices.SortFunc(all, func(a, b news) int {
		return cmp.Or(cmp.Compare(a.volume.String(), b.volume.String()), cmp.Compare(a.reason, b.reason))
	})
	return all, next
}

// notice is what to say of it to whoever looks at an object.
func (n news) notice(about corev1.ObjectReference) notice {
	if n.over {
		return notice{about, corev1.EventTypeNormal, n.reason + "Over", fmt.Sprintf("volume %s: %s is over", n.volume, n.reason)}
	}
	return notice{about, corev1.EventTypeWarning, n.reason, fmt.Sprintf("volume %s: %s. `kubectl loam status` says what to do", n.volume, n.message)}
}

// patchType is that of again.
const patchType = types.MergePatchType

// again is the patch of an event that is told anew.
func again(e *corev1.Event) []byte {
	text, err := json.Marshal(map[string]any{"lastTimestamp": e.LastTimestamp, "message": e.Message})
	if err != nil {
		return []byte("{}") // two strings always are JSON
	}
	return text
}

// uses says whether a pod that has not ended has that claim, also as an ephemeral volume, whose claim is named after both.
func uses(pod *corev1.Pod, claim string) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim || v.Ephemeral != nil && pod.Name+"-"+v.Name == claim
	})
}
