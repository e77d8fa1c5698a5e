package main

import (
	"io"
	"os"
	"strings"
	"testing"

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
	for given, want := range map[string]string{"": hostname, "n1": "n1"} {
		a := &app{stderr: io.Discard, getenv: func(string) string { return "" }}
		got, err := a.nodeOptions(agentOptions{node: node.Options{NodeID: given}, logLevel: choice{value: "info"}}, false)
		if err != nil || got.NodeID != want {
			t.Errorf("--node-id %q: node %q, %v; want %q", given, got.NodeID, err, want)
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
