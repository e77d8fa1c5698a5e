package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node"
)

func TestAgentsSocketComesFromWhoeverSaysItMostPlainly(t *testing.T) {
	const endpoint = "unix:///csi/csi.sock"
	for _, c := range []struct {
		flag  string
		env   map[string]string
		want  string
		fails bool
	}{
		{want: "/run/loam/csi.sock"},
		{env: map[string]string{"CSI_ENDPOINT": endpoint}, want: "/csi/csi.sock"},
		{env: map[string]string{"CSI_ENDPOINT": endpoint, "LOAM_SOCKET": "/env/csi.sock"}, want: "/env/csi.sock"},
		{flag: "/flag/csi.sock", env: map[string]string{"CSI_ENDPOINT": endpoint}, want: "/flag/csi.sock"},
		{env: map[string]string{"CSI_ENDPOINT": "tcp://0.0.0.0:1"}, fails: true},
		{env: map[string]string{"CSI_ENDPOINT": "unix://csi.sock"}, fails: true},
	} {
		a := &app{stderr: io.Discard, stdout: io.Discard, getenv: func(key string) string { return c.env[key] }}
		root := a.root()
		if c.flag != "" {
			if err := root.PersistentFlags().Set("socket", c.flag); err != nil {
				t.Fatal(err)
			}
		}
		got, err := a.nodeOptions(agentOptions{logLevel: choice{value: "info"}}, c.flag != "")
		if c.fails {
			if _, code := explain(err); err == nil || code != exitUsage {
				t.Errorf("%+v: got %q, %v; want wrong usage", c, got.Socket, err)
			}
			continue
		}
		if err != nil || got.Socket != c.want || got.AdminSocket != strings.TrimSuffix(c.want, "csi.sock")+"admin.sock" {
			t.Errorf("%+v: got %q and %q, %v", c, got.Socket, got.AdminSocket, err)
		}
	}
}

func TestNodeIsNamedAsItsHostUnlessTold(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Skipf("this host has no name: %v", err)
	}
	for _, c := range []struct {
		given      string
		kubernetes bool
		downward   string // NODE_NAME
		want       string
		fails      bool
	}{
		{want: hostname},
		{given: "n1", want: "n1"},
		{downward: "k1", want: hostname},
		{kubernetes: true, downward: "k1", want: "k1"},
		{kubernetes: true, downward: "k1", given: "n1", want: "n1"},
		{kubernetes: true, fails: true}, // the host's name would be the pod's
	} {
		a := &app{stderr: io.Discard, getenv: func(key string) string { return map[string]string{"NODE_NAME": c.downward}[key] }}
		o := agentOptions{node: node.Options{NodeID: c.given, Kubernetes: c.kubernetes}, logLevel: choice{value: "info"}}
		got, err := a.nodeOptions(o, false)
		if (err != nil) != c.fails || !c.fails && got.NodeID != c.want {
			t.Errorf("%+v: node %q, %v", c, got.NodeID, err)
		}
	}
}

func TestKubernetesChangesDefaultsOnly(t *testing.T) {
	const inPod = "KUBERNETES_SERVICE_HOST"
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want node.Options
	}{
		"standalone": {want: node.Options{KubeletDir: "/", Socket: "/run/loam/csi.sock"}},
		"in a pod": {env: map[string]string{inPod: "10.0.0.1"},
			want: node.Options{Kubernetes: true, KubeletDir: "/var/lib/kubelet", Socket: "/var/lib/kubelet/plugins/loam.storage/csi.sock"}},
		"in a pod, for itself": {env: map[string]string{inPod: "10.0.0.1"}, args: []string{"--kubernetes=false"},
			want: node.Options{KubeletDir: "/", Socket: "/run/loam/csi.sock"}},
		"as a service of the node": {args: []string{"--kubernetes", "--health-address=:9751"},
			want: node.Options{Kubernetes: true, KubeletDir: "/var/lib/kubelet", Socket: "/var/lib/kubelet/plugins/loam.storage/csi.sock", HealthAddress: ":9751"}},
		"another kubelet folder": {args: []string{"--kubernetes", "--kubelet-dir=/srv/kubelet"}, env: map[string]string{"LOAM_HEALTH_ADDRESS": ":1"},
			want: node.Options{Kubernetes: true, KubeletDir: "/srv/kubelet", Socket: "/srv/kubelet/plugins/loam.storage/csi.sock", HealthAddress: ":1"}},
		"another socket": {args: []string{"--kubernetes"}, env: map[string]string{"LOAM_SOCKET": "/env/csi.sock", "LOAM_KUBELET_DIR": "/k"},
			want: node.Options{Kubernetes: true, KubeletDir: "/k", Socket: "/env/csi.sock"}},
		"CSI's own variable": {args: []string{"--kubernetes"}, env: map[string]string{"CSI_ENDPOINT": "unix:///csi/csi.sock"},
			want: node.Options{Kubernetes: true, KubeletDir: "/var/lib/kubelet", Socket: "/csi/csi.sock"}},
	} {
		a := &app{stderr: io.Discard, stdout: io.Discard, getenv: func(key string) string {
			if key == "NODE_NAME" {
				return "n1"
			}
			return c.env[key]
		}}
		a.root() // reads LOAM_SOCKET
		o := agentOptions{logLevel: choice{value: "info"}}
		cmd := &cobra.Command{}
		a.agentFlags(cmd, &o)
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		got, err := a.nodeOptions(o, false)
		if err != nil || got.Kubernetes != c.want.Kubernetes || got.KubeletDir != c.want.KubeletDir || got.Socket != c.want.Socket || got.HealthAddress != c.want.HealthAddress {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
}

func TestAgentThatCannotStartSaysWhy(t *testing.T) {
	_, dir := startAgent(t)
	_, stderr, code := loam(t, dir, "agent", "--config", dir+"/none.yaml", "--node-id", "n1", "--state-dir", dir)
	if code != exitFailed || !strings.HasPrefix(stderr, "loam: agent: ") || !strings.Contains(stderr, dir+"/none.yaml") {
		t.Errorf("exit %d, %q; want 1 and the file's name", code, stderr)
	}
}
