package controller

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A claim that waits for its pod's node is nobody's to talk about: kube-scheduler says of the pod that no node has enough
// storage, and the router is never asked. What stands in its way is said here.

// adviceAfter is how long a claim has waited before something is said of it: its pod may come, and capacity be published.
const adviceAfter = 30 * time.Second

// poolParameter is the parameter of a StorageClass that names its pool (docs/reference/storageclass.md).
const poolParameter = "pool"

// selectedNode is the annotation in which kube-scheduler names the node that it chose for a claim (storage API, "volume binding").
const selectedNode = "volume.kubernetes.io/selected-node"

// advice is what to say of a claim.
type advice struct {
	claim           *corev1.PersistentVolumeClaim
	reason, message string
}

// advise says what keeps claims of our classes from ever being placed, in the claims' order. Classes that do not wait for a
// consumer are left out: what they want is asked of the router, whose answer is told.
func advise(classes []*storagev1.StorageClass, capacities []*storagev1.CSIStorageCapacity, claims []*corev1.PersistentVolumeClaim, now time.Time) []advice {
	waiting := map[string]*storagev1.StorageClass{}
	for _, c := range classes {
		if c.Provisioner == driverName && c.VolumeBindingMode != nil && *c.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
			waiting[c.Name] = c
		}
	}
	largest := largestByClass(capacities)
	var all []advice
	for _, claim := range claims {
		class, ours := waiting[className(claim)]
		if !ours || !isWaiting(claim) || now.Sub(claim.CreationTimestamp.Time) < adviceAfter {
			continue
		}
		if a, blocked := adviseOne(class, largest[class.Name], claim); blocked {
			all = append(all, a)
		}
	}
	return all
}

// isWaiting says whether a claim still waits for a node. Where it has one, its volume may be in the making, and part of what is
// taken; if the node refuses, external-provisioner says why, and takes the node away.
func isWaiting(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[selectedNode] == "" && claim.Status.Phase == corev1.ClaimPending && claim.Spec.VolumeName == "" && claim.DeletionTimestamp == nil
}

func className(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.StorageClassName == nil {
		return ""
	}
	return *claim.Spec.StorageClassName
}

// offered is the largest volume that some node can make.
type offered struct {
	node string
	size resource.Quantity
}

// largestByClass leaves out classes that no node serves.
func largestByClass(capacities []*storagev1.CSIStorageCapacity) map[string]offered {
	all := map[string]offered{}
	for _, c := range capacities {
		if c.NodeTopology == nil || c.MaximumVolumeSize == nil {
			continue
		}
		before, known := all[c.StorageClassName]
		if node := c.NodeTopology.MatchLabels[topologyKey]; !known || c.MaximumVolumeSize.Cmp(before.size) > 0 {
			all[c.StorageClassName] = offered{node, *c.MaximumVolumeSize}
		}
	}
	return all
}

func adviseOne(class *storagev1.StorageClass, most offered, claim *corev1.PersistentVolumeClaim) (a advice, blocked bool) {
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	switch pool := class.Parameters[poolParameter]; {
	case most.node == "" && pool != "":
		return advice{claim, "NoSuchPool", fmt.Sprintf("no node has the pool %q that StorageClass %s names: expected the name of a pool in the agents' configuration with a disk taken for it (`loam disk list` on a node says why a disk is not)",
			pool, class.Name)}, true
	case most.node == "":
		return advice{claim, "NoPool", fmt.Sprintf("no node has a pool for StorageClass %s: expected one in the agents' configuration with a disk taken for it (`loam disk list` on a node says why a disk is not)",
			class.Name)}, true
	case wanted.Cmp(most.size) > 0:
		return advice{claim, "NoRoom", fmt.Sprintf("no node has room for a volume of %v in StorageClass %s: the largest that can be made now is %v, on node %s",
			wanted.String(), class.Name, most.size.String(), most.node)}, true
	}
	return advice{}, false
}

// fresh are those of which nothing was told since, and told is brought up to now.
func fresh(all []advice, told map[string]time.Time, since, now time.Time) []advice {
	maps.DeleteFunc(told, func(_ string, at time.Time) bool { return at.Before(since) })
	return slices.DeleteFunc(all, func(a advice) bool {
		_, known := told[a.eventName()]
		if !known {
			told[a.eventName()] = now
		}
		return known
	})
}

// eventName is that of its event.
func (a advice) eventName() string { return a.notice().eventName() }

func (a advice) notice() notice {
	return notice{corev1.ObjectReference{
		APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: a.claim.Namespace, Name: a.claim.Name, UID: a.claim.UID,
	}, corev1.EventTypeWarning, a.reason, a.message}
}
