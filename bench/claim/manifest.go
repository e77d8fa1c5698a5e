package claim

import (
	"fmt"
	"path"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/lvm"
)

// Names in the cluster.
const (
	// Label is on the Job, the pod and the claim; its value is the Job's name.
	Label = "loam.storage/bench"

	labelName = "app.kubernetes.io/name"
	nameOfAll = "loam-bench"

	container  = "bench"
	volume     = "volume"
	mountPoint = "/volume"
	hostField  = "metadata.name" // of a Node
)

// user is `nonroot` of Loam's image (deploy/image). Nothing of a measurement needs more: O_DIRECT, the file and /proc/diskstats are
// everyone's.
const user = 65532

// Bounds of a Job, for when nobody deletes it.
const (
	// kept is how long an ended Job stays: whoever made it reads its log at once, and deletes it.
	kept = 10 * time.Minute
	// grace is what a measurement that is told to end has for removing its file and telling what it has.
	grace = 20 * time.Second
)

// partOfClaim is how much of a claim the measured file takes. The rest is the file system's own, the journal above all, and what stays free
// (package bench refuses to fill a file system).
const partOfClaim = 0.75

// ClaimFor is the size of a claim that a file of a size is measured in; half a GiB is what every file system can be made in.
func ClaimFor(file lvm.Bytes) lvm.Bytes {
	return lvm.Bytes(float64(file) / partOfClaim).RoundUp(lvm.GiB / 2)
}

// FileIn is the size of the file that is measured in a claim.
func FileIn(claim lvm.Bytes) lvm.Bytes {
	return lvm.Bytes(partOfClaim * float64(claim)).RoundDown(lvm.MiB)
}

// ours selects what was made here, of one Job, or of all for "".
func ours(job string) metav1.ListOptions {
	if job == "" {
		return metav1.ListOptions{LabelSelector: Label}
	}
	return metav1.ListOptions{LabelSelector: Label + "=" + job}
}

// job is what a node is measured with; "" is any node.
func (w Wanted) job(name, node string) *batchv1.Job {
	none, deadline, ttl := int32(0), int64((w.Patience + w.Timeout).Seconds()), int32(kept.Seconds())
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(name)}, Spec: w.pod(name, node)}
	w.withProfile(&pod)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labelsOf(name)},
		Spec:       batchv1.JobSpec{BackoffLimit: &none, ActiveDeadlineSeconds: &deadline, TTLSecondsAfterFinished: &ttl, Template: pod},
	}
}

func labelsOf(job string) map[string]string {
	return map[string]string{labelName: nameOfAll, Label: job}
}

// pod is one that Pod Security's profile "restricted" admits.
func (w Wanted) pod(name, node string) corev1.PodSpec {
	yes, no, id, seconds := true, false, int64(user), int64(grace.Seconds())
	policy := corev1.FSGroupChangeOnRootMismatch
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &seconds,
		AutomountServiceAccountToken: &no, EnableServiceLinks: &no, Affinity: on(node),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id, FSGroup: &id, FSGroupChangePolicy: &policy,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: container, Image: w.Image, Args: w.arguments(),
			VolumeMounts: []corev1.VolumeMount{{Name: volume, MountPath: mountPoint}},
			// No limits: a throttled processor would be what is measured.
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
			}},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
		Volumes: []corev1.Volume{{Name: volume, VolumeSource: corev1.VolumeSource{
			Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: w.claim(name)},
		}}},
	}
}

// claim is the ephemeral volume's. Kubernetes names it after the pod, and deletes it with that.
func (w Wanted) claim(name string) *corev1.PersistentVolumeClaimTemplate {
	class := w.Class
	return &corev1.PersistentVolumeClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(name)},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: *resource.NewQuantity(int64(w.Size), resource.BinarySI),
			}},
		},
	}
}

// on ties a pod to a node by the Node's name, for its label kubernetes.io/hostname may be another. kube-scheduler still has its say, without which
// a volume would not be made there (volumeBindingMode WaitForFirstConsumer).
func on(node string) *corev1.Affinity {
	if node == "" {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: hostField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}}},
	}}
}

// arguments are those of loam, which the image runs.
func (w Wanted) arguments() []string {
	profile := w.Profile
	if w.ProfileFile != "" {
		profile = path.Join(profileFolder, profileFile)
	}
	arguments := []string{"bench", "pod", mountPoint, "--profile", profile, "--size", fmt.Sprint(int64(w.File)), "--json", "-"}
	return append(arguments, w.Arguments...)
}

// A profile of the user's own comes as an annotation, which the downward API makes a file: no further object has to be made, and removed.
const (
	annotationProfile = "loam.storage/bench-profile"
	profileVolume     = "profile"
	profileFolder     = "/etc/loam-bench"
	profileFile       = "profile.yaml"
)

// withProfile puts the user's own profile into a pod.
func (w Wanted) withProfile(t *corev1.PodTemplateSpec) {
	if w.ProfileFile == "" {
		return
	}
	t.Annotations = map[string]string{annotationProfile: w.ProfileFile}
	t.Spec.Containers[0].VolumeMounts = append(t.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: profileVolume, MountPath: profileFolder, ReadOnly: true})
	t.Spec.Volumes = append(t.Spec.Volumes, corev1.Volume{Name: profileVolume, VolumeSource: corev1.VolumeSource{
		DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{{
			Path: profileFile, FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + annotationProfile + "']"},
		}}},
	}})
}

// claimName is what Kubernetes calls the claim of a pod's generic ephemeral volume.
func claimName(pod string) string { return pod + "-" + volume }
