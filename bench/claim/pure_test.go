package claim

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/loam-storage/loam/lvm"
)

func TestJobGoesByItselfAndTakesItsClaimWithIt(t *testing.T) {
	w := Wanted{Class: "fast", Image: "loam:1", Profile: "quick", Size: lvm.GiB, File: 256 * lvm.MiB, Arguments: []string{"--steady"}, Patience: time.Minute, Timeout: time.Hour}
	j := w.job("loam-bench-x-1", "k1")
	if *j.Spec.TTLSecondsAfterFinished != 600 || *j.Spec.ActiveDeadlineSeconds != 3660 || *j.Spec.BackoffLimit != 0 {
		t.Errorf("%+v; want that it ends after 61 minutes, is tried once, and goes 10 minutes later", j.Spec)
	}
	template := j.Spec.Template.Spec.Volumes[0].Ephemeral.VolumeClaimTemplate
	size := template.Spec.Resources.Requests[corev1.ResourceStorage]
	if *template.Spec.StorageClassName != "fast" || size.Value() != 1<<30 {
		t.Errorf("%+v; want 1Gi of fast", template.Spec)
	}
	for what, labels := range map[string]map[string]string{"Job": j.Labels, "pod": j.Spec.Template.Labels, "claim": template.Labels} {
		if labels[Label] != "loam-bench-x-1" {
			t.Errorf("the %s has the labels %v; want the Job's name", what, labels)
		}
	}
	c := j.Spec.Template.Spec.Containers[0]
	want := []string{"bench", "pod", "/volume", "--profile", "quick", "--size", "268435456", "--json", "-", "--steady"}
	if !slices.Equal(c.Args, want) || c.Image != "loam:1" {
		t.Errorf("%s runs %q, want %q", c.Image, c.Args, want)
	}
	terms := j.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(terms) != 1 || terms[0].MatchFields[0].Key != "metadata.name" || terms[0].MatchFields[0].Values[0] != "k1" {
		t.Errorf("%+v; want node k1 by its name", terms)
	}
	if w.job("loam-bench-x-1", "").Spec.Template.Spec.Affinity != nil {
		t.Error("without a node, kube-scheduler is to choose")
	}
}

// What https://kubernetes.io/docs/concepts/security/pod-security-standards/ asks for; the test on a cluster has Kubernetes check it.
func TestPodIsOneThatPodSecurityRestrictedAdmits(t *testing.T) {
	p := Wanted{ProfileFile: "jobs: []"}.job("x", "").Spec.Template.Spec
	if s := p.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || *s.FSGroup != *s.RunAsUser || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%+v; want a user other than root, whose group the volume has", s)
	}
	s := p.Containers[0].SecurityContext
	if *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || s.Privileged != nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%+v; want no privileges", s)
	}
	if *p.AutomountServiceAccountToken || p.HostNetwork || p.HostPID {
		t.Error("the pod has what it does not need")
	}
}

func TestProfileOfOnesOwnComesAsAFile(t *testing.T) {
	spec := Wanted{Profile: "mine.yaml", ProfileFile: "jobs: []"}.job("x", "").Spec.Template
	c := spec.Spec.Containers[0]
	if i := slices.Index(c.Args, "--profile"); c.Args[i+1] != "/etc/loam-bench/profile.yaml" || c.VolumeMounts[1].MountPath != "/etc/loam-bench" {
		t.Errorf("%q, %+v; want the file where it is mounted", c.Args, c.VolumeMounts)
	}
	if spec.Annotations["loam.storage/bench-profile"] != "jobs: []" || spec.Spec.Volumes[1].DownwardAPI == nil {
		t.Errorf("%v, %+v; want the annotation, and a volume of it", spec.Annotations, spec.Spec.Volumes[1])
	}
}

func TestClaimHasRoomForTheFileAndTheFileSystem(t *testing.T) {
	for file, want := range map[lvm.Bytes]lvm.Bytes{64 * lvm.MiB: lvm.GiB / 2, 256 * lvm.MiB: lvm.GiB / 2, lvm.GiB: 3 * lvm.GiB / 2, 4 * lvm.GiB: 11 * lvm.GiB / 2} {
		if got := ClaimFor(file); got != want || FileIn(got) < file {
			t.Errorf("a claim of %v for a file of %v, want %v", got, file, want)
		}
	}
}

func TestNodesThatAreNotFitSayWhy(t *testing.T) {
	node := func(name string, change func(*corev1.Node)) corev1.Node {
		n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"loam.storage/node": name}}}
		change(&n)
		return n
	}
	c := Candidates{Size: lvm.GiB, Tracked: true, Capacities: capacities("well", "small", "tainted")}
	tiny := c.Capacities[1].Capacity.DeepCopy()
	tiny.Set(512 << 20)
	c.Capacities[1].MaximumVolumeSize = &tiny
	c.Nodes = []corev1.Node{
		node("well", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
		}),
		node("small", func(*corev1.Node) {}), node("without", func(*corev1.Node) {}),
		node("tainted", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "control-plane", Effect: corev1.TaintEffectNoSchedule}}
		}),
		node("away", func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "Kubelet stopped posting node status."}}
		}),
	}
	fit, skipped := Choose(c)
	want := []Skipped{
		{"away", "it is not ready: Kubelet stopped posting node status."},
		{"small", "the class has room for 512 MiB there, and 1 GiB is wanted"},
		{"tainted", "it has the taint control-plane:NoSchedule"},
		{"without", "the class has no capacity there"},
	}
	if !slices.Equal(fit, []string{"well"}) || !slices.Equal(skipped, want) {
		t.Errorf("fit are %v, skipped %+v; want well, and %+v", fit, skipped, want)
	}
	c.Tracked, c.Capacities = false, []storagev1.CSIStorageCapacity{}
	if fit, _ := Choose(c); !slices.Equal(fit, []string{"small", "well", "without"}) {
		t.Errorf("fit are %v; want all that are schedulable, where nobody publishes capacity", fit)
	}
}

func TestResultIsFoundAmongLinesForPeople(t *testing.T) {
	var told []string
	said := &transcript{tell: func(line string) { told = append(told, line) }}
	if _, err := said.report(); !errors.Is(err, errNoReport) {
		t.Errorf("before there is any: %v", err)
	}
	// Cut short, and once more whole.
	begin, log := "loam bench: one\n", "loam bench: one\nloam bench: two\n"+resultText(t)+"loam: too late\n"
	for _, log := range []string{begin, log[:len(log)-30], log} {
		if err := said.read(strings.NewReader(log)); err != nil && !strings.Contains(err.Error(), "base64") {
			t.Error(err)
		}
	}
	r, err := said.report()
	if err != nil || r.Program != "v1" || said.failed() != nil {
		t.Errorf("%+v, %v, %v; want the report, and success", r, err, said.failed())
	}
	if want := []string{"loam bench: one", "loam bench: two"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want each line once: %q", told, want)
	}
}

func TestFailureIsToldInItsOwnWordsBesideWhatThereIs(t *testing.T) {
	said := &transcript{}
	log := "loam: interrupted\n" + strings.Replace(resultText(t), "ended 0", "ended 1", 1)
	if err := said.read(strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	if _, err := said.report(); err != nil || said.failed() == nil || said.failed().Error() != "interrupted" {
		t.Errorf("%v, %v; want the report, and that it was interrupted", err, said.failed())
	}
}

func TestLongReportsComeInLinesThatNoRuntimeCuts(t *testing.T) {
	random := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	var log bytes.Buffer
	if err := WriteResult(&log, random, 3); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 16<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	said := &transcript{}
	if err := said.read(&log); err != nil || !said.ended || said.code != 3 {
		t.Errorf("%v, %+v; want exit code 3", err, said)
	}
}

func FuzzTranscript(f *testing.F) {
	f.Add("loam bench: one\nreport H4sI\nended 0\n")
	f.Fuzz(func(_ *testing.T, log string) {
		said := &transcript{}
		if said.read(strings.NewReader(log)) == nil {
			_, _ = said.report()
		}
	})
}

func TestRestOfTheTimeIsThatOfTheNodesBefore(t *testing.T) {
	if got := remaining(3*time.Minute, 2, 4); got != 6*time.Minute {
		t.Errorf("%v left after 2 of 6 nodes took 3m; want 6m", got)
	}
}
