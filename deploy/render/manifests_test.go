package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// committed is the text of a file in deploy/manifests.
func committed(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "manifests", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decode gives the objects of a text, as strictly as an API server does: an unknown or repeated field is an error.
func decode(t *testing.T, text []byte) []runtime.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	var all []runtime.Object
	for buffer := make([]byte, 1<<20); ; {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if onlyComments(buffer[:n]) {
			continue
		}
		object, _, err := decoder.Decode(buffer[:n], nil, nil)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, buffer[:n])
		}
		all = append(all, object)
	}
}

func onlyComments(document []byte) bool {
	for line := range strings.Lines(string(document)) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// only gives the one object of a kind that has that name.
func only[T metav1.Object](t *testing.T, all []runtime.Object, name string) T {
	t.Helper()
	var found []T
	for _, one := range all {
		if object, ok := one.(T); ok && object.GetName() == name {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		var kind T
		t.Fatalf("%d objects %T named %s, want one", len(found), kind, name)
	}
	return found[0]
}

// forEachManifest tests each committed file.
func forEachManifest(t *testing.T, check func(t *testing.T, all []runtime.Object, snapshots bool)) {
	t.Helper()
	for _, m := range manifests {
		t.Run(m.name, func(t *testing.T) {
			check(t, decode(t, committed(t, m.name)), slices.Contains(m.set, "snapshots.enabled=true"))
		})
	}
}

func TestAgentIsOneContainerThatSeesOnlyWhatItNeedsOfItsNode(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		pod := only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec
		if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
			t.Fatalf("%d containers and %d before them, want one", len(pod.Containers), len(pod.InitContainers))
		}
		if pod.HostPID || pod.HostNetwork || pod.HostIPC {
			t.Errorf("hostPID %v, hostNetwork %v, hostIPC %v; want none", pod.HostPID, pod.HostNetwork, pod.HostIPC)
		}
		root := pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem
		if root == nil || !*root {
			t.Error("the root file system can be written to")
		}
		var paths []string
		for _, v := range pod.Volumes {
			if v.HostPath != nil {
				paths = append(paths, v.HostPath.Path)
			}
		}
		slices.Sort(paths)
		if want := []string{"/dev", "/run/lock/lvm", "/var/lib/kubelet", "/var/lib/loam"}; !slices.Equal(paths, want) {
			t.Errorf("of the node it sees %v, want %v", paths, want)
		}
	})
}

// What a person types in the agent's container has to be able to change something: LVM keeps what was before, below its folder.
func TestLVMsFolderCanBeWritten(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		agent := only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec.Containers[0]
		folder := ""
		for _, e := range agent.Env {
			if e.Name == "LVM_SYSTEM_DIR" {
				folder = e.Value
			}
		}
		if !slices.ContainsFunc(agent.VolumeMounts, func(m corev1.VolumeMount) bool {
			return !m.ReadOnly && folder != "" && strings.HasPrefix(folder, m.MountPath+"/")
		}) {
			t.Errorf("LVM_SYSTEM_DIR is %q, below nothing that is mounted to be written", folder)
		}
	})
}

func TestAgentSurvivesPressureAndEndsItsLVMCommands(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		pod := only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec
		if s := pod.TerminationGracePeriodSeconds; s == nil || *s < 120 {
			t.Errorf("a grace period of %v, which kills LVM commands; want at least 120 s", s)
		}
		if pod.PriorityClassName != "system-node-critical" {
			t.Errorf("priority %q", pod.PriorityClassName)
		}
		if want := (corev1.Toleration{Operator: corev1.TolerationOpExists}); !slices.Contains(pod.Tolerations, want) {
			t.Errorf("%v tolerates not everything", pod.Tolerations)
		}
	})
}

func TestAgentsMountsReachTheKubeletAtTheSamePath(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		pod := only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec
		for _, m := range pod.Containers[0].VolumeMounts {
			if m.Name != "kubelet" {
				continue
			}
			if m.MountPath != "/var/lib/kubelet" || m.MountPropagation == nil || *m.MountPropagation != corev1.MountPropagationBidirectional {
				t.Errorf("mounted on %s with propagation %v", m.MountPath, m.MountPropagation)
			}
			return
		}
		t.Error("the kubelet's folder is not mounted")
	})
}

func TestContainersOfTheControllerCanDoNothingToTheirNode(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, snapshots bool) {
		pod := only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Spec
		if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil {
			t.Errorf("%+v", s)
		}
		for _, c := range pod.Containers {
			s := c.SecurityContext
			if s == nil || s.Privileged != nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
				s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
				s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s: %+v", c.Name, s)
			}
		}
		for _, v := range pod.Volumes {
			if v.HostPath != nil {
				t.Errorf("%s of the node is mounted", v.HostPath.Path)
			}
		}
		if want := map[bool]int{false: 3, true: 4}[snapshots]; len(pod.Containers) != want {
			t.Errorf("%d containers, want %d", len(pod.Containers), want)
		}
	})
}

func TestSidecarsAreThoseVersionsAndElectALeader(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, snapshots bool) {
		want := map[string]string{
			"csi-provisioner": "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0",
			"csi-resizer":     "registry.k8s.io/sig-storage/csi-resizer:v2.2.0",
		}
		if snapshots {
			want["csi-snapshotter"] = "registry.k8s.io/sig-storage/csi-snapshotter:v8.6.0"
		}
		for _, c := range only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Spec.Containers {
			if c.Name == "controller" {
				continue
			}
			if c.Image != want[c.Name] {
				t.Errorf("%s is %s, want %s", c.Name, c.Image, want[c.Name])
			}
			if !slices.Contains(c.Args, "--leader-election") {
				t.Errorf("%s elects no leader: %v", c.Name, c.Args)
			}
			delete(want, c.Name)
		}
		if len(want) > 0 {
			t.Errorf("missing: %v", want)
		}
	})
}

func TestEveryContainerIsProbedOnAPortThatItHas(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		containers := slices.Concat(only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec.Containers,
			only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Spec.Containers)
		for _, c := range containers {
			probes := map[string]*corev1.Probe{"liveness": c.LivenessProbe}
			if c.Name == "agent" || c.Name == "controller" {
				probes["readiness"] = c.ReadinessProbe
			}
			for kind, p := range probes {
				if p == nil || !slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Name == p.HTTPGet.Port.String() }) {
					t.Errorf("%s: %s probe %+v, and ports %v", c.Name, kind, p, c.Ports)
				}
			}
		}
	})
}

func TestControllersAreApartAndDrainedOneByOne(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		d := only[*appsv1.Deployment](t, all, "loam-controller")
		if d.Spec.Replicas == nil || *d.Spec.Replicas != 2 {
			t.Errorf("%v replicas, want 2", d.Spec.Replicas)
		}
		pod := labels.Set(d.Spec.Template.Labels)
		apart := d.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		if len(apart) != 1 || !selects(t, apart[0].PodAffinityTerm.LabelSelector, pod) {
			t.Errorf("anti-affinity %+v", apart)
		}
		budget := only[*policyv1.PodDisruptionBudget](t, all, "loam-controller").Spec
		if budget.MaxUnavailable.IntValue() != 1 || !selects(t, budget.Selector, pod) {
			t.Errorf("budget %+v", budget)
		}
	})
}

func selects(t *testing.T, s *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return !selector.Empty() && selector.Matches(set)
}

func TestAgentsCSIPortIsForControllersOnly(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		agent := labels.Set(only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Labels)
		controller := labels.Set(only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Labels)
		policy := only[*networkingv1.NetworkPolicy](t, all, "loam-agent").Spec
		if !selects(t, &policy.PodSelector, agent) || selects(t, &policy.PodSelector, controller) {
			t.Errorf("the policy is for %v", policy.PodSelector)
		}
		from := map[int][]networkingv1.NetworkPolicyPeer{}
		for _, rule := range policy.Ingress {
			for _, p := range rule.Ports {
				from[p.Port.IntValue()] = rule.From
			}
		}
		if csi := from[9750]; len(csi) != 1 || csi[0].NamespaceSelector != nil || !selects(t, csi[0].PodSelector, controller) || selects(t, csi[0].PodSelector, agent) {
			t.Errorf("9750 is open to %+v", csi)
		}
		if health, open := from[9751]; !open || len(health) != 0 {
			t.Errorf("9751 is open to %+v", health)
		}
		if len(from) != 2 {
			t.Errorf("open: %v", from)
		}
	})
}

func TestDriverSaysHowKubernetesTreatsItsVolumes(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		s := only[*storagev1.CSIDriver](t, all, "loam.storage").Spec
		for name, c := range map[string]struct {
			got  *bool
			want bool
		}{
			"attachRequired": {s.AttachRequired, false}, "podInfoOnMount": {s.PodInfoOnMount, false},
			"storageCapacity": {s.StorageCapacity, true}, "requiresRepublish": {s.RequiresRepublish, false},
			"seLinuxMount": {s.SELinuxMount, true},
		} {
			if c.got == nil || *c.got != c.want {
				t.Errorf("%s is not %v", name, c.want)
			}
		}
		if s.FSGroupPolicy == nil || *s.FSGroupPolicy != storagev1.FileFSGroupPolicy {
			t.Errorf("fsGroupPolicy %v", s.FSGroupPolicy)
		}
		if !slices.Equal(s.VolumeLifecycleModes, []storagev1.VolumeLifecycleMode{storagev1.VolumeLifecyclePersistent}) {
			t.Errorf("volumeLifecycleModes %v", s.VolumeLifecycleModes)
		}
		if s.PreventPodSchedulingIfMissing != nil {
			t.Errorf("preventPodSchedulingIfMissing is unknown to Kubernetes %s", kubeVersion)
		}
	})
}

// may are the rights of rules: "verb group/resource", each with ":name" if it is for objects of that name alone.
func may(rules []rbacv1.PolicyRule) map[string]bool {
	all := map[string]bool{}
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					right := verb + " " + group + "/" + resource
					if len(r.ResourceNames) == 0 {
						all[right] = true
					}
					for _, name := range r.ResourceNames {
						all[right+":"+name] = true
					}
				}
			}
		}
	}
	return all
}

func TestAgentsHaveNoRightsBeyondThese(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		everywhere := may(only[*rbacv1.ClusterRole](t, all, "loam-agent").Rules)
		for _, right := range []string{"get /nodes", "get storage.k8s.io/storageclasses", "list storage.k8s.io/storageclasses", "watch storage.k8s.io/storageclasses"} {
			if !everywhere[right] {
				t.Errorf("an agent may not %s", right)
			}
			delete(everywhere, right)
		}
		if len(everywhere) > 0 {
			t.Errorf("an agent may in the whole cluster, besides: %v", everywhere)
		}
		for _, name := range []string{"loam-agent", "loam-agent-events"} {
			for right := range may(only[*rbacv1.Role](t, all, name).Rules) {
				if verb, what, _ := strings.Cut(right, " "); what != "storage.k8s.io/csistoragecapacities" && (!strings.HasSuffix(what, "/events") || verb != "create" && verb != "patch") {
					t.Errorf("an agent may %s", right)
				}
			}
		}
	})
}

func TestOnlyTheControllerReadsSecretsAndOnlyItsOwn(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		for _, object := range all {
			var rules []rbacv1.PolicyRule
			var whose string
			switch o := object.(type) {
			case *rbacv1.ClusterRole:
				rules, whose = o.Rules, "ClusterRole "+o.Name
			case *rbacv1.Role:
				rules, whose = o.Rules, "Role "+o.Name
			}
			for right := range may(rules) {
				if strings.Contains(right, "*") {
					t.Errorf("%s: %s", whose, right)
				}
				if !strings.Contains(right, "/secrets") {
					continue
				}
				_, name, named := strings.Cut(right, ":")
				if whose != "Role loam-controller" || !named && right != "create /secrets" ||
					named && !slices.Contains([]string{"loam-ca", "loam-controller-tls", "loam-agent-tls"}, name) {
					t.Errorf("%s: %s", whose, right)
				}
			}
		}
	})
}

func TestRightsAreBoundToServiceAccountsThatPodsHave(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		for _, object := range all {
			var subjects []rbacv1.Subject
			var role string
			switch o := object.(type) {
			case *rbacv1.ClusterRoleBinding:
				subjects, role = o.Subjects, o.RoleRef.Name
				only[*rbacv1.ClusterRole](t, all, role)
			case *rbacv1.RoleBinding:
				subjects, role = o.Subjects, o.RoleRef.Name
				if r := only[*rbacv1.Role](t, all, role); r.Namespace != o.Namespace {
					t.Errorf("Role %s is in %s, its binding in %s", role, r.Namespace, o.Namespace)
				}
			}
			for _, s := range subjects {
				only[*corev1.ServiceAccount](t, all, s.Name)
				if s.Namespace != namespace || !strings.HasPrefix(role, s.Name) {
					t.Errorf("%s is bound to %s in %s", role, s.Name, s.Namespace)
				}
			}
		}
		for name, pod := range map[string]corev1.PodSpec{
			"loam-agent":      only[*appsv1.DaemonSet](t, all, "loam-agent").Spec.Template.Spec,
			"loam-controller": only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Spec,
		} {
			if pod.ServiceAccountName != name {
				t.Errorf("%s runs as %s", name, pod.ServiceAccountName)
			}
		}
	})
}

func TestPolicyIsBoundAndFailsClosed(t *testing.T) {
	forEachManifest(t, func(t *testing.T, all []runtime.Object, _ bool) {
		p := only[*admissionv1.ValidatingAdmissionPolicy](t, all, "loam-agent").Spec
		if p.FailurePolicy == nil || *p.FailurePolicy != admissionv1.Fail {
			t.Errorf("failurePolicy %v", p.FailurePolicy)
		}
		b := only[*admissionv1.ValidatingAdmissionPolicyBinding](t, all, "loam-agent").Spec
		if b.PolicyName != "loam-agent" || !slices.Equal(b.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) {
			t.Errorf("%+v", b)
		}
	})
}
