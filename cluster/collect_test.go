package cluster

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const token = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im.eyJhdWQiOlsiaHR0cHM6Ly9rdWJlcm5ldGVz.c2lnbmF0dXJl"

// unpacked are the files of a bundle.
func unpacked(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(compressed); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

func TestABundleHasWhatASupporterNeedsAndNoSecret(t *testing.T) {
	s := well()
	s.Agents[1].Problem, s.Agents[1].Report = "refused with Bearer "+token, nil
	s.Own[0].Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}}
	s.Own[0].Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "loam.storage/x": "stays"}
	s.Own[0].Status.ContainerStatuses[0].RestartCount = 1
	s.Nodes[0].ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "somebody"}}
	s.Nodes[0].Annotations = map[string]string{"k3s.io/node-env": "hunter2"}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "loam-system", Name: "loam"}, Data: map[string]string{"config.yaml": "pools: []\n"}}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "loam-system", Name: "loam-agent-tls"}, Data: map[string][]byte{"tls.key": []byte("hunter2")}}
	client := Client{Kubernetes: fake.NewClientset(config, secret), Namespace: "loam-system"}
	var archive bytes.Buffer
	entries, gaps, err := client.Collect(context.Background(), &archive, Collection{Survey: s, Version: "v0.1.0", Logs: 1})
	if err != nil || len(gaps) > 0 {
		t.Fatalf("%v, gaps %+v", err, gaps)
	}
	files := unpacked(t, &archive)
	if len(files) != len(entries) {
		t.Errorf("%d files, and %d entries told", len(files), len(entries))
	}
	for name, want := range map[string]string{
		"status.json": `"the agent does not answer`, "versions.json": `"plugin": "v0.1.0"`, "configuration.yaml": "pools: []", "events.json": "[]",
		"agents/k1.json": `"largest"`, "agents/k2.json": "(REMOVED)", "objects/nodes.yaml": "name: k1", "objects/pods.yaml": "name: PASSWORD", "objects/persistentvolumes.yaml": "pv1",
		"objects/csistoragecapacities.yaml": "storageClassName: loam", "logs/loam-controller-a/controller.log": "fake logs", "logs/loam-agent-b/agent.log": "fake logs", "gaps.json": "[]",
	} {
		if !strings.Contains(files["loam/"+name], want) {
			t.Errorf("%s: %.200q; want %q", name, files["loam/"+name], want)
		}
	}
	if !strings.Contains(files["loam/objects/pods.yaml"], "loam.storage/x: stays") {
		t.Error("an annotation of Loam's is not in the bundle")
	}
	for name, content := range files {
		for _, never := range []string{"hunter2", token, "managedFields", "somebody"} {
			if strings.Contains(content, never) {
				t.Errorf("%s has %q in it", name, never)
			}
		}
		if strings.HasPrefix(name, "loam/logs/loam-agent-a") {
			t.Errorf("%s is there, and only the agent where something is wrong was asked for", name)
		}
	}
}

func TestWhatABundleLacksIsTold(t *testing.T) {
	s := well()
	s.Gaps = []Gap{{string(Persistent), "forbidden"}}
	client := Client{Kubernetes: fake.NewClientset(), Namespace: "loam-system"}
	var archive bytes.Buffer
	_, gaps, err := client.Collect(context.Background(), &archive, Collection{Survey: s})
	if err != nil || len(gaps) != 2 || gaps[1].What != "configuration" {
		t.Errorf("gaps %+v, %v; want the PersistentVolumes and the configuration", gaps, err)
	}
	if told := unpacked(t, &archive)["loam/gaps.json"]; !strings.Contains(told, "forbidden") || !strings.Contains(told, "configuration") {
		t.Errorf("gaps.json: %s", told)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestABundleThatCannotBeWrittenIsAnError(t *testing.T) {
	client := Client{Kubernetes: fake.NewClientset(), Namespace: "loam-system"}
	if _, _, err := client.Collect(context.Background(), full{}, Collection{Survey: well()}); err == nil {
		t.Error("no error")
	}
}

func TestKeysAndTokensAreBlackened(t *testing.T) {
	for text, want := range map[string]string{
		"a -----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY----- b": "a (REMOVED) b",
		"-----BEGIN PRIVATE KEY-----\nMHcC":                                      "(REMOVED)",
		"token " + token + " end":                                                "token (REMOVED) end",
		"Authorization: Bearer abcdefghijklmnop0123":                             "Authorization: (REMOVED)",
		"-----BEGIN CERTIFICATE-----\nMII":                                       "-----BEGIN CERTIFICATE-----\nMII",
		"volume pvc-1 of claim bearer small":                                     "volume pvc-1 of claim bearer small",
	} {
		if got := string(blackened([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestFilesOfABundleStayInIt(t *testing.T) {
	for name, want := range map[string]string{"k1": "k1", "../k1": "_.._k1", "": "_", "a/b\\c\n": "a_b_c_"} {
		if got := fileName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestEventsAreOurOwnOnceAndTheNewestLast(t *testing.T) {
	event := func(from, message string, count int32, ago time.Duration) corev1.Event {
		return corev1.Event{
			InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "k1"}, Source: corev1.EventSource{Component: from},
			Reason: "R", Message: message, Count: count, LastTimestamp: metav1.NewTime(now.Add(-ago)),
		}
	}
	series := corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "c"}, ReportingController: "external-resizer loam.storage",
		Message: "grown", EventTime: metav1.NewMicroTime(now.Add(-time.Hour)), Series: &corev1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(now)},
	}
	lease := event("loam.storage/pod-1", "leads", 1, 0)
	lease.InvolvedObject.Kind = "Lease"
	all := []corev1.Event{
		event("loam-agent", "b", 1, time.Minute), event("kubelet", "x", 1, 0), lease, series, event("loam-agent", "a", 2, time.Hour), event("loam-agent", "a", 3, 2*time.Hour),
		event("loam.storage_pod-1_x", "c", 1, 3*time.Minute), event("loam.storage_pod-2_y", "c", 1, 2*time.Minute),
	}
	got := Events(all, time.Time{})
	var said []string
	for _, e := range got {
		said = append(said, e.Message)
	}
	if strings.Join(said, " ") != "a c b grown" {
		t.Fatalf("%v; want a c b grown", said)
	}
	if a := got[0]; a.Count != 5 || !a.Last.Equal(now.Add(-time.Hour)) || a.Object != "Node/k1" {
		t.Errorf("said twice: %+v; want a count of 5, an hour ago", a)
	}
	if c, g := got[1], got[3]; c.Count != 2 || c.From != "loam.storage" || g.Count != 7 || g.Object != "PersistentVolumeClaim/shop/c" {
		t.Errorf("%+v and %+v", c, g)
	}
	if recent := Events(all, now.Add(-90*time.Second)); len(recent) != 2 {
		t.Errorf("in the last 90 s: %+v; want two", recent)
	}
}
