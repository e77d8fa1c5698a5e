package main

import (
	"context"
	"strings"
	"testing"
)

func TestLeverPath(t *testing.T) {
	for line, want := range map[string]string{
		"node reboot k1": "/nodes/k1/reboot", "apiserver stop": "/apiserver/stop",
		"node k1": "", "node reboot k1 k2": "", "node reboot ../k1": "", "apiserver": "", "apiserver a/b": "",
	} {
		got, err := leverPath(strings.Fields(line))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("leverPath(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
}

// A cluster of one node, whose guest has ended.
func levered(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := &cluster{dir: t.TempDir(), end: cancel, control: &controlPlane{parts: map[string]*component{"kube-apiserver": {}}}}
	ended := make(chan struct{})
	close(ended)
	c.machines = []*machine{{cluster: c, name: "k1", done: ended}}
	if err := c.serveLevers(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLeversSayWhatIsWrong(t *testing.T) {
	c := levered(t)
	for path, want := range map[string]string{
		"/nodes/k7/reboot": "there is no node k7", "/nodes/k1/flip": "is nothing that a cluster does",
		"/apiserver/start": "kube-apiserver runs",
	} {
		if err := pull(t.Context(), c.dir, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
}

func TestDownIsAnsweredBeforeTheClusterEnds(t *testing.T) {
	for range 20 {
		if c := levered(t); pull(t.Context(), c.dir, "/down") != nil {
			t.Fatal("/down was not answered")
		}
	}
}
