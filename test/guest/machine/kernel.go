package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// kernelPackage is Debian's kernel for virtual machines, a package that only depends on the newest such kernel.
const kernelPackage = "linux-image-cloud-amd64"

// kernelImage is a kernel for QEMU: unpacked in the cache, never installed.
type kernelImage struct{ release, image, modules string }

// fetchKernel gives the kernel in the cache, and puts it there if there is none.
func (o *Options) fetchKernel(ctx context.Context) (kernelImage, error) {
	unlock, err := o.lock(ctx, "kernel")
	if err != nil {
		return kernelImage{}, err
	}
	defer unlock()
	cache, err := o.cache()
	if err != nil {
		return kernelImage{}, err
	}
	folder := filepath.Join(cache, "kernel")
	if kernel, err := findKernel(folder); err == nil {
		return kernel, nil
	}
	started := time.Now()
	name, err := newestKernel(ctx)
	if err != nil {
		return kernelImage{}, err
	}
	o.say("downloading Debian package %s for use in guests (it is not installed)", name)
	if err := unpackKernel(ctx, name, folder); err != nil {
		return kernelImage{}, fmt.Errorf("kernel for guests: %w", err)
	}
	o.say("downloaded and unpacked in %v", time.Since(started).Round(100*time.Millisecond))
	return findKernel(folder)
}

// findKernel finds the unpacked kernel.
func findKernel(folder string) (kernelImage, error) {
	images, err := filepath.Glob(filepath.Join(folder, "boot", "vmlinuz-*"))
	if err != nil {
		return kernelImage{}, err
	}
	if len(images) != 1 {
		return kernelImage{}, fmt.Errorf("%d kernels in %s, not one", len(images), folder)
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	return kernelImage{release, images[0], filepath.Join(folder, "lib/modules", release)}, nil
}

// newestKernel asks apt which package kernelPackage stands for, with newer package lists if it does not know.
func newestKernel(ctx context.Context) (string, error) {
	name, first := dependency(ctx, kernelPackage)
	if first == nil {
		return name, nil
	}
	if os.Geteuid() != 0 {
		return "", fmt.Errorf("%w; type: sudo apt-get update", first)
	}
	if err := aptGet(ctx, "update"); err != nil {
		return "", errors.Join(first, err)
	}
	return dependency(ctx, kernelPackage)
}

// dependency gives the package that the newest version of another one depends on first.
func dependency(ctx context.Context, name string) (string, error) {
	output, err := exec.CommandContext(ctx, "apt-cache", "show", "--no-all-versions", name).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache show %s: %w", name, err)
	}
	first := firstDependency(string(output))
	if first == "" {
		return "", fmt.Errorf("package %s depends on no kernel", name)
	}
	return first, nil
}

// firstDependency reads the field Depends of a package's description, deb822(5); "": it has none.
func firstDependency(description string) string {
	for line := range strings.Lines(description) {
		if value, ok := strings.CutPrefix(line, "Depends:"); ok {
			first, _, _ := strings.Cut(strings.TrimSpace(value), ",")
			name, _, _ := strings.Cut(first, " ")
			return name
		}
	}
	return ""
}

// unpackKernel downloads a package and unpacks it, in a folder that gets its name when it is complete. depmod lists
// the modules, which installing would have done.
func unpackKernel(ctx context.Context, name, folder string) error {
	work, err := os.MkdirTemp(filepath.Dir(folder), "kernel-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := tool(ctx, work, "apt-get", "-q", "download", name); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("%d packages were downloaded, not one: %v", len(packages), err) //nolint:errorlint // may be nil
	}
	root := filepath.Join(work, "root")
	if err := tool(ctx, work, "dpkg-deb", "--extract", packages[0], root); err != nil {
		return err
	}
	kernel, err := findKernel(root)
	if err != nil {
		return err
	}
	if err := tool(ctx, work, "depmod", "--basedir", root, kernel.release); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(root, folder)
}

// tool runs a program in a folder; the error has what it printed.
func tool(ctx context.Context, folder, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "PATH="+withAdministration(os.Getenv("PATH")))
	if command.Err != nil { // depmod is in /sbin, which an ordinary user's PATH lacks
		command.Path, command.Err = filepath.Join("/usr/sbin", name), nil
	}
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}
