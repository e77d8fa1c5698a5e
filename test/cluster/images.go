package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// built are the programs of this module, made once for each version in go.mod; see there.
var built = map[string]string{
	"hyperkube":           "./hyperkube",
	"pause":               "./pause",
	"kube-scheduler":      "k8s.io/kubernetes/cmd/kube-scheduler",
	"csi-provisioner":     provisioner + "/cmd/csi-provisioner",
	"csi-resizer":         "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer",
	"csi-snapshotter":     snapshotter + "/cmd/csi-snapshotter",
	"snapshot-controller": snapshotter + "/cmd/snapshot-controller",
}

const (
	provisioner    = "github.com/kubernetes-csi/external-provisioner/v6"
	snapshotter    = "github.com/kubernetes-csi/external-snapshotter/v8"
	snapshotClient = "github.com/kubernetes-csi/external-snapshotter/client/v8"
)

// pictured are the images of one program each, by its name.
var pictured = map[string]string{
	"pause":               pauseImage,
	"kube-scheduler":      "registry.k8s.io/kube-scheduler:v1.37.2",
	"csi-provisioner":     "registry.k8s.io/sig-storage/csi-provisioner:v6.3.0",
	"csi-resizer":         "registry.k8s.io/sig-storage/csi-resizer:v2.2.0",
	"csi-snapshotter":     "registry.k8s.io/sig-storage/csi-snapshotter:v8.6.0",
	"snapshot-controller": "registry.k8s.io/sig-storage/snapshot-controller:v8.6.0",
}

// shellImage is what the examples run: a shell with the usual tools. Here it is made of Debian's packages.
const shellImage = "registry.k8s.io/e2e-test-images/busybox:1.36.1-1"

// prepare makes what is missing of all that a cluster is made of.
func (c *cluster) prepare(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(c.cache, "images"), 0o755); err != nil {
		return err
	}
	unlock, err := waitForLock(ctx, filepath.Join(c.cache, "lock")) // two clusters may begin at once, of one cache
	if err != nil {
		return err
	}
	defer unlock()
	if err := c.installPackages(ctx); err != nil {
		return err
	}
	if err := c.buildPrograms(ctx); err != nil {
		return err
	}
	for name, image := range pictured {
		if err := c.image(ctx, name, "-name", image, "-packages", "", "-binary", filepath.Join(c.cache, name)); err != nil {
			return err
		}
	}
	if err := c.image(ctx, "shell", "-name", shellImage, "-packages", "dash,coreutils,util-linux", "-binary", ""); err != nil {
		return err
	}
	if err := c.loamImage(ctx); err != nil {
		return err
	}
	return c.prepareState(ctx)
}

// debianPackages are what nodes run besides Kubernetes.
var debianPackages = map[string]string{
	"containerd": "containerd", "crun": "crun", "iproute2": "ip", "containernetworking-plugins": "/usr/lib/cni/ptp", "procps": "sysctl",
}

func (c *cluster) installPackages(ctx context.Context) error {
	var missing []string
	for name, program := range debianPackages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	say("installing Debian packages: %s", strings.Join(missing, " "))
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if aptGet(ctx, install...) == nil {
		return nil
	}
	// The package lists are missing or too old.
	if err := aptGet(ctx, "update"); err != nil {
		return err
	}
	return aptGet(ctx, install...)
}

// aptGet lets apt-get finish, whatever ends this program: killed on the way it leaves packages half installed. It prints into
// a file, as a pipe would break.
func aptGet(ctx context.Context, args ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	printed, err := os.CreateTemp("", "apt-get-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(printed.Name()); _ = printed.Close() }()
	cmd := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = printed, printed
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(printed.Name())
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// buildPrograms builds what is missing, and all of it when go.mod has changed since.
func (c *cluster) buildPrograms(ctx context.Context) error {
	module := filepath.Join(c.root, "test", "cluster")
	modFile, err := c.patchedModule(ctx, module)
	if err != nil {
		return err
	}
	for name, pkg := range built {
		target := filepath.Join(c.cache, name)
		if newer(target, filepath.Join(module, "go.mod")) {
			continue
		}
		say("building %s; the first time takes minutes", name)
		args := []string{"build", "-trimpath", "-modfile=" + modFile, "-ldflags=-s -w " + versionFlags, "-o", target, pkg}
		if _, err := c.goTool(ctx, module, args...); err != nil {
			return err
		}
	}
	return nil
}

// versionFlags say which Kubernetes it is, as its own build does.
const versionFlags = "-X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"

// patchedModule is a go.mod with a copy of external-provisioner, whose v6.3.0 does not compile with client-go 0.37 for the
// sake of a line for API servers that know CSIStorageCapacity in v1beta1 alone (Kubernetes before 1.24). The copy lacks it.
func (c *cluster) patchedModule(ctx context.Context, module string) (string, error) {
	folder := filepath.Join(c.cache, "external-provisioner")
	modFile := filepath.Join(c.cache, "go.mod")
	if newer(modFile, filepath.Join(module, "go.mod")) {
		return modFile, nil
	}
	dir, err := c.moduleSource(ctx, provisioner)
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	if err := os.CopyFS(folder, os.DirFS(dir)); err != nil {
		return "", err
	}
	source := filepath.Join(folder, "cmd", "csi-provisioner", "csi-provisioner.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const line = "cInformer = capacity.NewV1beta1InformerBridge(factoryForNamespace.Storage().V1beta1().CSIStorageCapacities())"
	if bytes.Count(text, []byte(line)) != 1 {
		return "", errors.New("external-provisioner is another version than the one that is patched here")
	}
	if err := errors.Join(os.Remove(source), os.WriteFile(source, bytes.Replace(text, []byte(line), nil, 1), 0o644)); err != nil {
		return "", err
	}
	for _, name := range []string{"go.sum", "go.mod"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		if name == "go.mod" {
			text = fmt.Appendf(text, "\nreplace %s => %s\n", provisioner, folder)
		}
		if err := os.WriteFile(filepath.Join(c.cache, name), text, 0o644); err != nil {
			return "", err
		}
	}
	return modFile, nil
}

// image makes an image's tar if it is older than the program in it, or not there.
func (c *cluster) image(ctx context.Context, name string, flags ...string) error {
	target := filepath.Join(c.cache, "images", name+".tar")
	if newer(target, filepath.Join(c.cache, name)) {
		return nil
	}
	say("making image %s", name)
	_, err := c.goTool(ctx, c.root, append([]string{"run", "./deploy/image", "-cache", filepath.Join(c.cache, "debian"), "-o", target}, flags...)...)
	return err
}

// loamImage is the product's own, of the binary that there is.
func (c *cluster) loamImage(ctx context.Context) error {
	binary, target := filepath.Join(c.root, "bin", "loam"), filepath.Join(c.cache, "images", "loam.tar")
	if newer(target, binary) {
		return nil
	}
	say("making Loam's image")
	_, err := c.goTool(ctx, c.root, "run", "./deploy/image", "-cache", filepath.Join(c.cache, "debian"), "-binary", binary, "-o", target)
	return err
}

// moduleSource is the folder with the source of a module of test/cluster/go.mod, which is fetched where it is not there yet:
// `go list -m` gives no folder then.
func (c *cluster) moduleSource(ctx context.Context, module string) (string, error) {
	out, err := c.goTool(ctx, filepath.Join(c.root, "test", "cluster"), "mod", "download", "-json", module)
	if err != nil {
		return "", err
	}
	var fetched struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &fetched); err != nil {
		return "", fmt.Errorf("go mod download %s: %w", module, err)
	}
	return fetched.Dir, nil
}

// goTool runs go in a folder and returns what it prints. Programs are static, as guests and images want them.
func (c *cluster) goTool(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, &complaint)
	}
	return string(out), nil
}

// newer says whether a file is there and not older than another, which need not be there.
func newer(file, than string) bool {
	f, err := os.Stat(file)
	if err != nil {
		return false
	}
	t, err := os.Stat(than)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	return err == nil && !f.ModTime().Before(t.ModTime())
}
