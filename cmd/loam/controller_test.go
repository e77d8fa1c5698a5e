package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/loam-storage/loam/controller"
)

const testKubeconfig = `
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c}}]
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
`

func TestControllerIsToldEverythingByFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(testKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{stderr: io.Discard, socket: "/csi/csi.sock", getenv: func(string) string { return "" }}
	got, err := a.routerOptions(controllerOptions{
		router:     controller.Options{AgentPort: 9750, Namespace: "ns", HealthAddress: ":9751"},
		kubeconfig: file, log: agentOptions{logLevel: choice{value: "info"}},
	})
	if err != nil || got.Client == nil || got.Credentials == nil || got.Log == nil || got.Socket != "/csi/csi.sock" || got.Namespace != "ns" || got.AgentPort != 9750 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestControllerThatCannotStartSaysWhy(t *testing.T) {
	_, dir := startAgent(t)
	file := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, []byte(testKubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--agent-port", "70000"}, exitUsage, "--agent-port is 70000"},
		{[]string{"--health-address", "9751"}, exitUsage, "--health-address is \"9751\""},
		{[]string{"--kubeconfig", dir + "/none"}, exitFailed, dir + "/none"},
		{[]string{"--kubeconfig", file, "--tls-dir", dir}, exitFailed, dir + "/tls.crt"},
		{[]string{"--kubeconfig", file, "--health-address", "", "extra"}, exitUsage, "extra"},
	} {
		_, stderr, code := loam(t, dir, append([]string{"controller"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit %d, %q; want %d and %q", c.args, code, stderr, c.code, c.says)
		}
	}
}
