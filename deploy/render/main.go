// Command render makes deploy/manifests from the Helm chart in deploy/helm/loam, for those who install with kubectl alone.
// The chart is the source; a test says whether both agree. It also makes the reference of the metrics from the code, and the
// dashboard from panels.go. Run it as
// `make manifests`.
//
// It renders with a Helm that is built from its Go module, at one version, into .cache: neither go.mod nor the machine needs
// one. Nothing here talks to a cluster. With -helm-only it builds Helm and renders nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

// manifest is a file in deploy/manifests with the values that make it.
type manifest struct {
	name string
	set  []string
}

// namespace is where manifests install Loam.
const namespace = "loam-system"

// kubeVersion is what manifests are rendered for: the oldest one that the chart takes, so that every cluster takes them.
const kubeVersion = "1.32.0"

// manifests are all files of deploy/manifests.
var manifests = []manifest{
	{name: "loam.yaml", set: []string{"snapshots.enabled=false"}},
	{name: "loam-with-snapshots.yaml", set: []string{"snapshots.enabled=true"}},
}

func main() {
	helmOnly := flag.Bool("helm-only", false, "build Helm, and render nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *helmOnly)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, helmOnly bool) error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	h, err := findHelm(ctx, root)
	if err != nil {
		return err
	}
	if helmOnly {
		return nil
	}
	if err := renderMonitoring(root); err != nil {
		return err
	}
	for _, m := range manifests {
		text, err := h.render(ctx, m)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "deploy", "manifests", m.name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// findRoot is the module's folder, at or above the present one.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod here or above: run this within Loam's repository")
		}
	}
}

// renderMonitoring writes what does not come from the chart: the reference of the metrics, and the dashboard, which is the chart's.
func renderMonitoring(root string) error {
	if err := os.WriteFile(filepath.Join(root, "docs", "reference", "metrics.md"), []byte(metricsReference()), 0o644); err != nil {
		return err
	}
	text, err := dashboard()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "deploy", "helm", "loam", "dashboard.json"), text, 0o644)
}
