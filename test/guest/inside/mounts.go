package inside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// stage holds, until the root is in place, what it is made of. Any Debian root has /tmp, and so has our initramfs.
const stage = "/tmp"

// mountRoot makes "/" the host's files with an overlay in memory: programs may write anywhere, and nothing reaches the
// host but what goes to the directories that the order names as writable. See Documentation/filesystems/overlayfs.rst.
func mountRoot(share wire.FileShare, order wire.Command) error {
	lower, err := mountHostFiles(share)
	if err != nil {
		return err
	}
	root := filepath.Join(stage, "root")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, stage, stage)
	if err := mount("overlay", root, "overlay", 0, options); err != nil {
		return err
	}
	for _, folder := range order.Writable {
		if err := mountWritable(share, lower, folder, root); err != nil {
			return err
		}
	}
	if err := mountKernelFiles(root); err != nil {
		return err
	}
	if err := linkModules(root, order.Modules); err != nil {
		return err
	}
	return enter(share, root)
}

// mountHostFiles gives the folder that shows the host's files. A kernel of User Mode Linux booted from them.
func mountHostFiles(share wire.FileShare) (string, error) {
	if share == wire.HostFS {
		if err := loadModules("/usr/lib/uml/modules", EarlyModules(share)); err != nil {
			return "", err
		}
	}
	if err := mount("tmpfs", stage, "tmpfs", 0, "size=80%"); err != nil {
		return "", err
	}
	for _, name := range []string{"host", "upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(stage, name), 0o755); err != nil {
			return "", err
		}
	}
	if share == wire.HostFS {
		return "/", nil
	}
	host := filepath.Join(stage, "host")
	return host, mount(wire.ShareTag, host, "virtiofs", 0, "")
}

// mountWritable shows one folder of the host as it is, so that what is written there stays.
func mountWritable(share wire.FileShare, lower, folder, root string) error {
	target := filepath.Join(root, folder)
	if share == wire.HostFS {
		return mount("none", target, "hostfs", 0, folder)
	}
	return mount(filepath.Join(lower, folder), target, "", unix.MS_BIND, "")
}

// mountKernelFiles mounts what a booted machine has besides its root.
func mountKernelFiles(root string) error {
	at := func(path string) string { return filepath.Join(root, path) }
	for _, folder := range []string{"/proc", "/sys", "/dev", "/run", "/var/lib/loam", "/etc/lvm"} {
		if err := os.MkdirAll(at(folder), 0o755); err != nil {
			return err
		}
	}
	if err := mountDevices(at("/dev")); err != nil {
		return err
	}
	for _, m := range []struct{ path, kind, options string }{
		{"/proc", "proc", ""},
		{"/sys", "sysfs", ""},
		{"/dev/pts", "devpts", "mode=620,ptmxmode=666"},
		{"/dev/shm", "tmpfs", "mode=1777"},
		{"/run", "tmpfs", "mode=755"},
		// State of the host's own LVM and of a Loam that may run on it is not the guest's.
		{"/var/lib/loam", "tmpfs", "mode=755"},
		{"/etc/lvm", "tmpfs", "mode=755"},
	} {
		if err := os.MkdirAll(at(m.path), 0o755); err != nil {
			return err
		}
		if err := mount(m.kind, at(m.path), m.kind, 0, m.options); err != nil {
			return err
		}
	}
	return os.MkdirAll(at("/run/lock"), 0o1777)
}

// mountDevices mounts devtmpfs with the links that udev would add to it.
func mountDevices(path string) error {
	if err := mount("devtmpfs", path, "devtmpfs", 0, "mode=755"); err != nil && !errors.Is(err, unix.EBUSY) {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(path, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// linkModules puts the kernel's modules where modprobe(8), also when the kernel calls it, looks for them.
func linkModules(root, folder string) error {
	link := filepath.Join(root, installedModules, filepath.Base(folder))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(folder, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// enter makes root the root of everything: pivot_root(2), "pivot_root(".", ".")". After a chroot alone, a container
// runtime's own pivot_root would land outside. An initramfs cannot be pivoted away from, only covered:
// Documentation/filesystems/ramfs-rootfs-initramfs.rst.
func enter(share wire.FileShare, root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if share == wire.VirtioFS {
		if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("cover the initramfs: %w", err)
		}
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("leave the initramfs: %w", err)
		}
		return os.Chdir("/")
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the first root: %w", err)
	}
	return os.Chdir("/")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, target, err)
	}
	return nil
}
