package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/loam-storage/loam/node/config"
)

// chart is the Helm chart with the Helm to render it, which takes minutes to build once: where nobody asks for it, and it is
// not there, the test is skipped.
func chart(t *testing.T) helm {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("LOAM_REQUIRED") == "" && !hasHelm(root) {
		t.Skip("needs Helm, which `make chart` and `make manifests` build")
	}
	h, err := findHelm(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestManifestsAreWhatTheChartGives(t *testing.T) {
	h := chart(t)
	for _, m := range manifests {
		want, err := h.render(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, committed(t, m.name)) {
			t.Errorf("deploy/manifests/%s is not what deploy/helm/loam gives: run `make manifests`", m.name)
		}
	}
	files, err := os.ReadDir(filepath.Join("..", "manifests"))
	if err != nil || len(files) != len(manifests) {
		t.Errorf("deploy/manifests has %d files, %d of them are rendered (%v)", len(files), len(manifests), err)
	}
}

func TestChartPassesLint(t *testing.T) {
	h := chart(t)
	if _, err := h.run(t.Context(), nil, "lint", "--strict", "--kube-version", kubeVersion, h.chart); err != nil {
		t.Error(err)
	}
}

func TestWrongValuesAreRefusedByName(t *testing.T) {
	h := chart(t)
	for _, c := range []struct{ values, want string }{
		{"agent: {terminationGracePeriodSeconds: 30}", "/agent/terminationGracePeriodSeconds"},
		{"agent: {hostNetwork: true}", "'hostNetwork' not allowed"},
		{"agent: {maxUnavailable: 0}", "/agent/maxUnavailable"},
		{"kubeletDir: var/lib/kubelet", "/kubeletDir"},
		{"kubeletDir: /var/lib/kubelet/", "/kubeletDir"},
		{"kubletDir: /var/lib/kubelet", "'kubletDir' not allowed"},
		{"log: {level: verbose}", "/log/level"},
		{"controller: {replicas: 0}", "/controller/replicas"},
		{"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
		{"sidecars: {resizer: {image: registry.k8s.io/sig-storage/csi-resizer}}", "/sidecars/resizer/image"},
		{"sidecars: {resizer: {image: 'registry.k8s.io/sig-storage/csi-resizer:latest'}}", "/sidecars/resizer/image"},
		{"sidecars: {timeout: 60}", "/sidecars/timeout"},
		{"snapshots: {enabled: maybe}", "/snapshots/enabled"},
		{"schedulerExtender: {tls: {clientName: kube-scheduler}}", "/schedulerExtender/tls"},
		{"schedulerExtender: {replicas: 2}", "'replicas' not allowed"},
		{"monitoring: {podMonitor: {interval: 30}}", "/monitoring/podMonitor/interval"},
		{"monitoring: {alerts: {enabled: 1}}", "/monitoring/alerts/enabled"},
		{"config: {pool: []}", "'pool' not allowed"},
		{"config: {pools: [{devices: {paths: [/dev/sdb]}}]}", "'name'"},
		{"config: {pools: [{name: fast}]}", "/config/pools/0"},
		{"config: {pools: [{name: Fast, volumeGroup: vg}]}", "/config/pools/0/name"},
		{"config: {pools: [{name: a, type: fat, volumeGroup: vg}]}", "/config/pools/0/type"},
		{"config: {pools: [{name: a, devices: {paths: [sdb]}}]}", "/config/pools/0/devices/paths/0"},
		{"config: {pools: [{name: a, devices: {paths: [/dev/../etc/passwd]}}]}", "/config/pools/0/devices/paths/0"},
		{"config: {pools: [{name: a, devices: {paths: [/dev/sdb], minSize: 1GB}}]}", "/config/pools/0/devices/minSize"},
		{"config: {pools: [{name: a, volumeGroup: -vg}]}", "/config/pools/0/volumeGroup"},
		{"config: {pools: [{name: a, volumeGroup: vg, reserve: 100%}]}", "/config/pools/0/reserve"},
		{"config: {pools: [{name: a, volumeGroup: vg, thin: {stopAt: 0%}}]}", "/config/pools/0/thin/stopAt"},
		{"config: {pools: [{name: a, volumeGroup: vg, thin: {overprovision: 0}}]}", "/config/pools/0/thin/overprovision"},
		{"config: {pools: [{name: a, volumeGroup: vg, stripes: 129}]}", "/config/pools/0/stripes"},
		{"config: {pools: [{name: a, volumeGroup: vg, wipe: zero}]}", "/config/pools/0/wipe"},
		{"config: {pools: [{name: a, type: thick, volumeGroup: vg, thin: {stopAt: 90%}}]}", "/config/pools/0/thin"},
		{"config: {pools: [{name: a, volumeGroup: vg, nodes: {disktype: 'a b'}}]}", "/config/pools/0/nodes/disktype"},
	} {
		t.Run(c.values, func(t *testing.T) {
			_, err := h.run(t.Context(), []byte(c.values), "template", "loam", h.chart, "--kube-version", kubeVersion)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a complaint about %s", err, c.want)
			}
		})
	}
}

// reference is the example at the beginning of docs/reference/configuration.md.
func reference(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("the reference has no example")
	}
	return []byte(example)
}

func TestAgentsGetTheConfigurationThatTheValuesSay(t *testing.T) {
	h := chart(t)
	example := reference(t)
	values := []byte("config:\n")
	for line := range bytes.Lines(example) {
		values = append(append(values, "  "...), line...)
	}
	text, err := h.run(t.Context(), values, "template", "loam", h.chart, "--kube-version", kubeVersion)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse("chart", []byte(only[*corev1.ConfigMap](t, decode(t, text), "loam").Data["config.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Parse("reference", example)
	if err != nil {
		t.Fatal(err)
	}
	if changes, err := config.Changes(want, got); err != nil || len(changes) > 0 || len(got.Pools) != 3 {
		t.Errorf("%d pools, and these differences: %v, %v", len(got.Pools), changes, err)
	}
}

func TestAgentsTakeTheConfigurationOfAPlainInstallation(t *testing.T) {
	for _, m := range manifests {
		text := only[*corev1.ConfigMap](t, decode(t, committed(t, m.name)), "loam").Data["config.yaml"]
		if c, err := config.Parse(m.name, []byte(text)); err != nil || len(c.Pools) != 0 {
			t.Errorf("%s: %v, %v; want no pools", m.name, c.Pools, err)
		}
	}
}

func TestChartFollowsTheCluster(t *testing.T) {
	h := chart(t)
	for _, c := range []struct {
		name       string
		kube       string
		more       []string
		snapshots  bool
		prevention bool
	}{
		{name: "old and bare", kube: "1.32.0"},
		{name: "with snapshots' API", kube: "1.32.0", more: []string{"--api-versions", "snapshot.storage.k8s.io/v1"}, snapshots: true},
		{name: "told not to use it", kube: "1.32.0", more: []string{"--api-versions", "snapshot.storage.k8s.io/v1", "--set", "snapshots.enabled=false"}},
		{name: "new", kube: "1.37.1", prevention: true},
		{name: "a vendor's version", kube: "v1.37.1-gke.100", prevention: true},
		{name: "told not to", kube: "1.37.1", more: []string{"--set", "csiDriver.preventPodSchedulingIfMissing=false"}},
		{name: "told to", kube: "1.36.0", more: []string{"--set", "csiDriver.preventPodSchedulingIfMissing=true"}, prevention: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := h.run(t.Context(), nil, append([]string{"template", "loam", h.chart, "--kube-version", c.kube}, c.more...)...)
			if err != nil {
				t.Fatal(err)
			}
			all := decode(t, text)
			containers := only[*appsv1.Deployment](t, all, "loam-controller").Spec.Template.Spec.Containers
			if got := len(containers) == 4; got != c.snapshots {
				t.Errorf("snapshots: %v, want %v", got, c.snapshots)
			}
			prevents := only[*storagev1.CSIDriver](t, all, "loam.storage").Spec.PreventPodSchedulingIfMissing
			if got := prevents != nil && *prevents; got != c.prevention {
				t.Errorf("preventPodSchedulingIfMissing: %v, want %v", got, c.prevention)
			}
		})
	}
	if _, err := h.run(t.Context(), nil, "template", "loam", h.chart, "--kube-version", "1.31.0"); err == nil {
		t.Error("it is taken by Kubernetes 1.31, whose tokens need not name their node")
	}
}

func TestAgentFollowsTheKubeletsFolder(t *testing.T) {
	const dir = "/var/lib/k0s/kubelet"
	text, err := chart(t).template(t.Context(), "kubeletDir="+dir)
	if err != nil {
		t.Fatal(err)
	}
	agent := only[*appsv1.DaemonSet](t, decode(t, text), "loam-agent").Spec.Template.Spec
	rest := strings.ReplaceAll(string(text), dir, "")
	if strings.Contains(rest, "/var/lib/kubelet") {
		t.Error("something is still at /var/lib/kubelet")
	}
	if i := len(agent.Containers[0].Args); i == 0 || !strings.Contains(strings.Join(agent.Containers[0].Args, " "), "--kubelet-dir "+dir) {
		t.Errorf("%v", agent.Containers[0].Args)
	}
}
