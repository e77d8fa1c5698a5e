package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Helm, as a Go module. Manifests do not depend on its version, but what lint and schema errors look like does.
const (
	helmModule  = "helm.sh/helm/v4/cmd/helm"
	helmVersion = "v4.3.1"
)

// helm runs Helm on the chart. It reads no configuration of its user and never asks a cluster.
type helm struct {
	binary string
	chart  string
}

// findHelm finds Helm in .cache, or builds it there, which takes minutes once. Several may call it at the same time.
func findHelm(ctx context.Context, root string) (helm, error) {
	dir := filepath.Join(root, ".cache", "helm")
	h := helm{binary: filepath.Join(dir, helmVersion, "helm"), chart: filepath.Join(root, "deploy", "helm", "loam")}
	if _, err := os.Stat(h.binary); err == nil {
		return h, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return h, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return h, err
	}
	defer unlock()
	if _, err := os.Stat(h.binary); err == nil {
		return h, nil // somebody else built it meanwhile
	}
	return h, build(ctx, filepath.Dir(h.binary))
}

// lock waits until it has a file's lock. The kernel lets go of it when its holder ends.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// build builds Helm into a folder, which is there only once it is whole.
func build(ctx context.Context, dir string) error {
	fmt.Fprintf(os.Stderr, "building Helm %s; once, for some minutes\n", helmVersion)
	scratch, err := os.MkdirTemp(filepath.Dir(dir), "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	cmd := exec.CommandContext(ctx, "go", "install", "-ldflags=-s -w", helmModule+"@"+helmVersion)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+scratch, "GOFLAGS=-buildvcs=false")
	cmd.Dir = scratch // not within a module, whose go.mod would count
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Helm: %w\n%s", err, output)
	}
	return os.Rename(scratch, dir)
}

// render gives a manifest's text, headed by where it comes from.
func (h helm) render(ctx context.Context, m manifest) ([]byte, error) {
	text, err := h.template(ctx, append([]string{"createNamespace=true"}, m.set...)...)
	if err != nil {
		return nil, err
	}
	head := "# Made by `make manifests` from deploy/helm/loam with " + strings.Join(m.set, ", ") + ". Do not edit: change the chart.\n"
	return append([]byte(head), text...), nil
}

// template renders the chart with values, each KEY=VALUE as in helm --set.
func (h helm) template(ctx context.Context, set ...string) ([]byte, error) {
	args := []string{"template", "loam", h.chart, "--namespace", namespace, "--kube-version", kubeVersion}
	for _, one := range set {
		args = append(args, "--set", one)
	}
	return h.run(ctx, nil, args...)
}

// run gives what Helm prints; an error has what it complained of. values are a values file, or nil.
func (h helm) run(ctx context.Context, values []byte, args ...string) ([]byte, error) {
	home, err := os.MkdirTemp("", "helm-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(home) }()
	if values != nil {
		args = append(args, "--values", "-")
	}
	cmd := exec.CommandContext(ctx, h.binary, args...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=/dev/null"}
	cmd.Stdin = bytes.NewReader(values)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("helm %s: %w\n%s%s", args[0], err, &stderr, &stdout)
	}
	return stdout.Bytes(), nil
}
