package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// namespaceOfLoam is the one that docs/install.md names.
const namespaceOfLoam = "loam-system"

// pools are for the nodes' disks in their order, of which the first is the guest's own: those of the examples' StorageClasses, and one that tests fill.
var pools = []string{
	"  - name: fast\n    devices: {paths: [/dev/ubdc]}\n",
	"  - name: bulk\n    type: thick\n    devices: {paths: [/dev/ubdd]}\n",
	"  - name: large\n    devices: {paths: [/dev/ubde]}\n",
}

// values are what an operator would write for nodes with that many disks.
func values(disks int) string {
	return "config:\n  pools:\n" + strings.Join(pools[:min(disks, len(pools))], "") + `image: {pullPolicy: Never}
log: {level: debug, format: text}
schedulerExtender:
  enabled: true
  scheduler: {enabled: true, name: loam-scheduler-in-pod}
`
}

// install does what docs/install.md says, after the cluster's own part in snapshots.
func (c *cluster) install(ctx context.Context) error {
	if err := c.installSnapshots(ctx); err != nil {
		return err
	}
	file := filepath.Join(c.dir, "values.yaml")
	if err := os.WriteFile(file, []byte(values(len(c.disks))), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"create", "namespace", namespaceOfLoam},
		{"label", "namespace", namespaceOfLoam, "pod-security.kubernetes.io/enforce=privileged"},
	} {
		if _, err := c.kubectl(ctx, args...); err != nil {
			return err
		}
	}
	if err := c.helm(ctx, "install", "loam", filepath.Join(c.root, "deploy", "helm", "loam"), "--namespace", namespaceOfLoam, "--values", file); err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, "apply", "-f", filepath.Join(c.root, "deploy", "examples", "storageclasses.yaml")); err != nil {
		return err
	}
	for _, what := range []string{"daemonset/loam-agent", "deployment/loam-controller", "deployment/loam-scheduler-extender"} {
		if _, err := c.kubectl(ctx, "--namespace", namespaceOfLoam, "rollout", "status", what, "--timeout=5m"); err != nil {
			return err
		}
	}
	return c.capacityPublished(ctx)
}

// capacityPublished waits until each node says what it can give.
func (c *cluster) capacityPublished(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	for {
		out, err := c.kubectl(ctx, "get", "csistoragecapacities", "--namespace", namespaceOfLoam, "-o",
			`jsonpath={range .items[*]}{.nodeTopology.matchLabels.loam\.storage/node}{"\n"}{end}`)
		if err != nil {
			return err
		}
		all := true
		for _, m := range c.machines {
			all = all && strings.Contains(out, m.name+"\n")
		}
		if all {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("capacity is published of %q alone", strings.Fields(out))
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// installSnapshots installs the API and the snapshot-controller, which are the cluster's and not Loam's.
func (c *cluster) installSnapshots(ctx context.Context) error {
	client, err := c.moduleSource(ctx, snapshotClient)
	if err != nil {
		return err
	}
	controller, err := c.moduleSource(ctx, snapshotter)
	if err != nil {
		return err
	}
	for _, kind := range []string{"volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"} {
		if _, err := c.kubectl(ctx, "apply", "-f", filepath.Join(client, "config", "crd", "snapshot.storage.k8s.io_"+kind+".yaml")); err != nil {
			return err
		}
	}
	folder := filepath.Join(controller, "deploy", "kubernetes", "snapshot-controller")
	if _, err := c.kubectl(ctx, "apply", "-f", filepath.Join(folder, "rbac-snapshot-controller.yaml")); err != nil {
		return err
	}
	// The file names the image of an older release; applied as it is, it would have pods that wait for that one.
	deployment, err := c.kubectl(ctx, "set", "image", "--local", "-f", filepath.Join(folder, "setup-snapshot-controller.yaml"),
		"snapshot-controller="+pictured["snapshot-controller"], "-o", "yaml")
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "snapshot-controller.yaml")
	if err := os.WriteFile(file, []byte(deployment), 0o600); err != nil {
		return err
	}
	_, err = c.kubectl(ctx, "apply", "-f", file)
	return err
}

// helm runs the one that deploy/render has built.
func (c *cluster) helm(ctx context.Context, args ...string) error {
	if _, err := c.goTool(ctx, c.root, "run", "./deploy/render", "-helm-only"); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(c.root, ".cache", "helm", "v*", "helm"))
	if err != nil || len(found) == 0 {
		return fmt.Errorf("helm: not in %s/.cache/helm (%v)", c.root, err) //nolint:errorlint // may be nil
	}
	cmd := exec.CommandContext(ctx, found[len(found)-1], args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HOME="+c.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %v: %w: %s", args, err, out)
	}
	return nil
}
