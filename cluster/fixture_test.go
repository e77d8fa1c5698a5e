package cluster

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/node/admin"
	"github.com/loam-storage/loam/published"
)

var now = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// uid is that of the claim with a number, and made the name of its volume.
func uid(n string) string  { return "00000000-0000-0000-0000-00000000000" + n }
func made(n string) string { return "pvc-" + uid(n) }

func nodeObject(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
}

// ownPod is a pod of Loam's that runs and is ready.
func ownPod(component, name, node string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "loam-system", Labels: map[string]string{"app.kubernetes.io/name": "loam", labelComponent: component}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: component}}},
		Status: corev1.PodStatus{
			Phase:             corev1.PodRunning,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: component, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		},
	}
}

// waiting is a pod whose container does not start.
func waiting(p corev1.Pod, reason string) corev1.Pod {
	p.Status.Conditions = p.Status.Conditions[:1]
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: p.Spec.Containers[0].Name, RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
	return p
}

// report is what the agent of a node says that has a pool with a volume.
func report(node string, volumes ...admin.Volume) *admin.Report {
	return &admin.Report{
		Info:  admin.Info{Node: node, Version: "v0.1.0"},
		Disks: []admin.Disk{{Path: "/dev/sda", Size: 100 * lvm.GiB, Kind: "disk", State: admin.DiskTaken, Pool: "fast"}},
		Pools: []admin.Pool{{
			Name: "fast", Type: "thin", Ready: true, Size: 100 * lvm.GiB, Used: 10 * lvm.GiB, Promised: 20 * lvm.GiB, Available: 80 * lvm.GiB, Largest: 80 * lvm.GiB,
		}},
		Volumes:  append([]admin.Volume{}, volumes...),
		Problems: []string{},
	}
}

func onDisk(node, lv, claim string) admin.Volume {
	return admin.Volume{
		ID: node + "/" + lv, Name: lv, LV: lv, Kind: admin.KindVolume, Pool: "fast", Size: 10 * lvm.GiB, Used: lvm.GiB, FS: "ext4", Claim: claim,
		Created: now.Add(-time.Hour), Active: true, Mounts: []string{"/var/lib/kubelet/x"},
	}
}

// persistent is the PersistentVolume of a claim in namespace shop.
func persistent(name, handle, claim string) corev1.PersistentVolume {
	return corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: driver, VolumeHandle: handle, FSType: "ext4", VolumeAttributes: map[string]string{"pool": "fast"},
			}},
			ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: claim},
		},
		Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
}

func class(name, pool string) storagev1.StorageClass {
	mode := storagev1.VolumeBindingWaitForFirstConsumer
	return storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: driver, Parameters: map[string]string{"pool": pool}, VolumeBindingMode: &mode}
}

// capacity is what a node has for the class loam.
func capacity(node string, available lvm.Bytes) storagev1.CSIStorageCapacity {
	q := resource.NewQuantity(int64(available), resource.BinarySI)
	return storagev1.CSIStorageCapacity{
		ObjectMeta: metav1.ObjectMeta{
			Name: "loam-" + node, Namespace: "loam-system",
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "loam-agent"},
			Annotations: map[string]string{published.Annotation: published.Pools{"fast": {Available: available, Extent: 4 * lvm.MiB}}.String()},
		},
		NodeTopology:     &metav1.LabelSelector{MatchLabels: map[string]string{topologyKey: node}},
		StorageClassName: "loam", Capacity: q, MaximumVolumeSize: q,
	}
}

// well is a cluster of two nodes that has nothing wrong, and a volume.
func well() Survey {
	two := int32(2)
	s := Survey{Namespace: "loam-system", Now: now}
	s.Objects = Objects{
		Nodes:      []corev1.Node{nodeObject("k1"), nodeObject("k2")},
		Own:        []corev1.Pod{ownPod("agent", "loam-agent-a", "k1"), ownPod("agent", "loam-agent-b", "k2"), ownPod("controller", "loam-controller-a", "k1"), ownPod("controller", "loam-controller-b", "k2")},
		DaemonSets: []appsv1.DaemonSet{{ObjectMeta: metav1.ObjectMeta{Name: "loam-agent"}, Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, NumberReady: 2}}},
		Deployments: []appsv1.Deployment{{
			ObjectMeta: metav1.ObjectMeta{Name: "loam-controller", Labels: map[string]string{labelComponent: componentController}},
			Spec:       appsv1.DeploymentSpec{Replicas: &two}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2},
		}},
		Capacities: []storagev1.CSIStorageCapacity{capacity("k1", 80*lvm.GiB), capacity("k2", 80*lvm.GiB)},
		Classes:    []storagev1.StorageClass{class("loam", "fast")},
		Volumes:    []corev1.PersistentVolume{persistent("pv1", "k1/"+made("1"), "data")},
	}
	s.Agents = []Agent{
		{Node: "k1", Pod: "loam-agent-a", Report: report("k1", onDisk("k1", made("1"), "shop/data"))},
		{Node: "k2", Pod: "loam-agent-b", Report: report("k2")},
	}
	return s
}

// away makes an agent one that does not answer.
func (s *Survey) away(node, why string) {
	i := slices.IndexFunc(s.Agents, func(a Agent) bool { return a.Node == node })
	s.Agents[i].Report, s.Agents[i].Problem = nil, why
}

// user is a pod that uses claims of namespace shop.
func user(name string, claims ...string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
		}})
	}
	return p
}
