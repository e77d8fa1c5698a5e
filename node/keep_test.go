package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMistakeInTheConfigurationDoesNotKeepANodeDown(t *testing.T) {
	const good, bad = "pools:\n- {name: fast, devices: {paths: [/dev/a]}}\n", "pools:\n- {name: fast, devises: {}}\n"
	dir := t.TempDir()
	o := Options{ConfigPath: filepath.Join(dir, "config.yaml"), StateDir: dir, Kubernetes: true, Log: slog.New(slog.DiscardHandler)}
	steps := []struct {
		text  string
		pools int
		why   string
	}{
		{bad, 0, "config.yaml:2: pools[0].devises: unknown key"},
		{good, 1, ""},
		{bad, 1, "config.yaml:2: pools[0].devises: unknown key"},
	}
	for i, step := range steps {
		must(t, os.WriteFile(o.ConfigPath, []byte(step.text), 0o600))
		w, err := o.watch()
		must(t, err)
		problem := ""
		if w.Problem() != nil {
			problem = w.Problem().Error()
		}
		if len(w.Config().Pools) != step.pools || !strings.Contains(problem, step.why) || (problem == "") != (step.why == "") {
			t.Errorf("start %d: %d pools, %q; want %d, %q", i, len(w.Config().Pools), problem, step.pools, step.why)
		}
	}
	o.Kubernetes = false
	if _, err := o.watch(); err == nil || !strings.Contains(err.Error(), "devises") {
		t.Errorf("standalone: %v; want the mistake", err)
	}
}
