package controller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/loam-storage/loam/lvm"
)

func health(id string, reasons ...string) *csi.VolumeHealth {
	h := &csi.VolumeHealth{VolumeId: id}
	for _, r := range reasons {
		h.HealthStatuses = append(h.HealthStatuses, &csi.VolumeHealth_VolumeHealthEntry{Reason: r, Message: "it has " + r})
	}
	return h
}

// boundVolume is a PersistentVolume with that handle, of the claim shop/data-<its name>.
func boundVolume(name, handle string) *corev1.PersistentVolume {
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound}}
	pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: handle}
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "shop", Name: "data-" + name, UID: types.UID("u-" + name)}
	return pv
}

func podWith(name string, phase corev1.PodPhase, volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("u-" + name)},
		Spec:       corev1.PodSpec{Volumes: volumes}, Status: corev1.PodStatus{Phase: phase},
	}
}

func ofClaim(name string) corev1.Volume {
	return corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}
}

// infirmary is a controller's ailing with a cluster in memory.
type infirmary struct {
	*ailing
	t       *testing.T
	client  *fake.Clientset
	healthy map[string][]*csi.VolumeHealth
	counted int
}

func newInfirmary(t *testing.T, objects ...runtime.Object) *infirmary {
	i := &infirmary{t: t, client: fake.NewClientset(objects...)}
	i.ailing = &ailing{
		client: i.client, log: slog.New(slog.DiscardHandler), observe: func(n int) { i.counted = n },
		healths: func(context.Context) map[string][]*csi.VolumeHealth { return i.healthy },
	}
	return i
}

// told are the events, as kind/name reason: message, with when they were told last.
func (i *infirmary) told() (all []string, last map[string]time.Time) {
	i.t.Helper()
	events, err := i.client.CoreV1().Events("").List(context.Background(), metav1.ListOptions{})
	if err != nil {
		i.t.Fatal(err)
	}
	last = map[string]time.Time{}
	for _, e := range events.Items {
		line := fmt.Sprintf("%s %s/%s %s: %s", e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, e.Reason, e.Message)
		all = append(all, line)
		last[line] = e.LastTimestamp.UTC()
	}
	slices.Sort(all)
	return all, last
}

func TestClaimsAndPodsAreToldWhatIsWrongAndWhenItIsOver(t *testing.T) {
	i := newInfirmary(t, boundVolume("pvc-1", "n1/pvc-1"), boundVolume("pvc-2", "n1/pvc-2"),
		podWith("db-0", corev1.PodRunning, ofClaim("data-pvc-1")), podWith("ended", corev1.PodSucceeded, ofClaim("data-pvc-1")), podWith("other", corev1.PodRunning, ofClaim("data-pvc-2")))
	ctx, start := context.Background(), time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	i.healthy = map[string][]*csi.VolumeHealth{"n1": {health("n1/pvc-1", "OutOfData"), health("n2/pvc-2", "OutOfData"), health("../x", "OutOfData")}}
	want := []string{
		"Warning PersistentVolumeClaim/data-pvc-1 OutOfData: volume n1/pvc-1: it has OutOfData. `kubectl loam status` says what to do",
		"Warning Pod/db-0 OutOfData: volume n1/pvc-1: it has OutOfData. `kubectl loam status` says what to do",
	}
	for after := range time.Duration(60) {
		i.look(ctx, start.Add(after*time.Minute))
		if all, last := i.told(); !slices.Equal(all, want) || last[want[0]] != start || i.counted != 1 {
			t.Fatalf("after %d minutes: %q at %v, counted %d; want %q, once", after, all, last, i.counted, want)
		}
	}
	i.look(ctx, start.Add(time.Hour))
	if all, last := i.told(); !slices.Equal(all, want) || last[want[1]] != start.Add(time.Hour) {
		t.Errorf("after an hour it is told again: %q at %v", all, last)
	}
	i.healthy = nil // the agent does not answer
	i.look(ctx, start.Add(61*time.Minute))
	if all, _ := i.told(); !slices.Equal(all, want) {
		t.Errorf("nothing is known, and told is %q", all)
	}
	i.healthy = map[string][]*csi.VolumeHealth{"n1": nil}
	i.look(ctx, start.Add(62*time.Minute))
	over := []string{"Normal PersistentVolumeClaim/data-pvc-1 OutOfDataOver: volume n1/pvc-1: OutOfData is over", "Normal Pod/db-0 OutOfDataOver: volume n1/pvc-1: OutOfData is over"}
	if all, _ := i.told(); !slices.Equal(all, slices.Concat(over, want)) {
		t.Errorf("it is over, and told is %q", all)
	}
	i.healthy = map[string][]*csi.VolumeHealth{"n1": {health("n1/pvc-1", "OutOfData")}}
	i.look(ctx, start.Add(63*time.Minute))
	if _, last := i.told(); last[want[0]] != start.Add(63*time.Minute) {
		t.Errorf("it is back, and was told last at %v", last[want[0]])
	}
}

func TestVolumesWhosePersistentVolumeAPersonMadeAreFound(t *testing.T) {
	i := newInfirmary(t, boundVolume("found", "n1/pvc-9"), boundVolume("pvc-8", "n2/elsewhere"), podWith("db-0", corev1.PodRunning, ofClaim("data-found")))
	i.healthy = map[string][]*csi.VolumeHealth{"n1": {health("n1/pvc-9", "DeviceMissing"), health("n1/pvc-8", "DeviceMissing"), health("n1/nobodys", "DeviceMissing")}}
	i.look(context.Background(), time.Now())
	all, _ := i.told()
	if len(all) != 2 {
		t.Errorf("told %q, want the claim data-found and its pod", all)
	}
	lists := 0
	for _, a := range i.client.Actions() {
		if a.Matches("list", "persistentvolumes") {
			lists++
		}
	}
	if lists != 1 {
		t.Errorf("all PersistentVolumes were read %d times, want once", lists)
	}
}

func TestAPoolWithManyVolumesIsToldInSteps(t *testing.T) {
	const volumes = ailingAtOnce + 20
	var objects []runtime.Object
	var sick []*csi.VolumeHealth
	for n := range volumes {
		name := fmt.Sprintf("pvc-%03d", n)
		objects, sick = append(objects, boundVolume(name, "n1/"+name)), append(sick, health("n1/"+name, "PoolFailed"))
	}
	i := newInfirmary(t, objects...)
	for step, want := range []int{ailingAtOnce, volumes, volumes} {
		i.healthy = map[string][]*csi.VolumeHealth{"n1": sick}
		i.look(context.Background(), time.Now())
		if all, _ := i.told(); len(all) != want || i.counted != volumes {
			t.Errorf("step %d: %d events, want %d; counted %d", step, len(all), want, i.counted)
		}
	}
}

func TestEphemeralVolumesAreTheirPods(t *testing.T) {
	ephemeral := corev1.Volume{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}
	if p := podWith("db-0", corev1.PodRunning, ephemeral); !uses(p, "db-0-scratch") || uses(p, "scratch") {
		t.Error("an ephemeral volume's claim is named after its pod and itself")
	}
}

func TestAgentsAreAskedForHealthAndOneThatIsAwayIsLeftOut(t *testing.T) {
	b := newBed(t)
	b.agent("n1", lvm.GiB).set(func(f *fakeAgent) { f.volumes = []string{"pvc-1", "pvc-2"} })
	b.agent("n2", lvm.GiB)
	b.agent("n3", lvm.GiB).set(func(f *fakeAgent) { f.volumes = []string{"pvc-3"} })
	b.notReady("n3")
	r, ctx := b.router(3)
	got := r.healths(ctx)
	if _, n3 := got["n3"]; len(got) != 2 || len(got["n1"]) != 2 || len(got["n2"]) != 0 || n3 {
		t.Errorf("answered: %v", got)
	}
}
