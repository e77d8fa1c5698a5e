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

// wanted are the modules that tests of volumes need. Anything else is a modprobe away: the kernel's own modules
// appear under /lib/modules in the guest.
var wanted = []string{
	"overlay", "loop",
	"dm-mod", "dm-thin-pool", "dm-snapshot", "dm-mirror", "dm-flakey", "dm-delay",
}

// loadModules inserts the wanted modules in the order of their dependencies.
func loadModules(share wire.FileShare) error {
	folder, err := moduleFolder()
	if err != nil {
		return err
	}
	listing, err := os.ReadFile(filepath.Join(folder, "modules.dep"))
	if err != nil {
		return fmt.Errorf("which kernel modules exist: %w", err)
	}
	names := wanted
	if share == wire.VirtioFS {
		names = append([]string{"virtiofs"}, wanted...)
	}
	paths, err := module.LoadOrder(string(listing), names)
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

// moduleFolder is where the running kernel's modules are: Debian keeps User Mode Linux's apart.
func moduleFolder() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	release := unix.ByteSliceToString(name.Release[:])
	for _, parent := range []string{"/usr/lib/uml/modules", "/lib/modules", "/usr/lib/modules"} {
		folder := filepath.Join(parent, release)
		if _, err := os.Stat(filepath.Join(folder, "modules.dep")); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("no modules for kernel %s", release)
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
