package inside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/module"
	"github.com/loam-storage/loam/test/guest/wire"
)

// deviceModules are what tests of volumes need. Anything else is a modprobe away, and the kernel itself calls it.
var deviceModules = []string{
	"loop", "dm-mod", "dm-thin-pool", "dm-snapshot", "dm-mirror", "dm-flakey", "dm-delay",
}

// EarlyModules are what it takes to see the host's files, before which there are no other modules than those that an
// initramfs holds.
func EarlyModules(share wire.FileShare) []string {
	if share == wire.VirtioFS {
		return []string{"virtio_pci", "virtio_console", "virtio_blk", "virtiofs", "overlay"}
	}
	return []string{"overlay"}
}

// installedModules is where modprobe(8) looks for modules.
const installedModules = "/lib/modules"

// loadModules inserts the named modules of the running kernel in the order of their dependencies, but for those that
// it has built in. The modules are below parent, in a folder for each kernel release.
func loadModules(parent string, names []string) error {
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		return err
	}
	folder := filepath.Join(parent, unix.ByteSliceToString(system.Release[:]))
	listing, err := os.ReadFile(filepath.Join(folder, "modules.dep"))
	if err != nil {
		return fmt.Errorf("which kernel modules exist: %w", err)
	}
	builtIn, err := os.ReadFile(filepath.Join(folder, "modules.builtin"))
	if err != nil {
		return fmt.Errorf("which kernel modules are built in: %w", err)
	}
	paths, err := module.LoadOrder(string(listing), string(builtIn), names)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := insert(filepath.Join(folder, path)); err != nil {
			return fmt.Errorf("load kernel module %s: %w", path, err)
		}
	}
	return nil
}

// insert loads one module; one that is there already is fine.
func insert(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	err = unix.FinitModule(int(file.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
