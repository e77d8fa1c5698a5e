package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// debianPackage is a package, and a file of it that shows that it is installed.
type debianPackage struct{ name, file string }

// guestTools are what every guest's command may count on.
var guestTools = []debianPackage{
	{"lvm2", "/usr/sbin/lvm"},
	{"thin-provisioning-tools", "/usr/sbin/thin_check"},
	{"xfsprogs", "/usr/sbin/mkfs.xfs"},
	{"e2fsprogs", "/usr/sbin/mke2fs"},
	{"util-linux", "/usr/sbin/blkid"},
	{"mount", "/usr/bin/mount"},
	{"kmod", "/usr/sbin/modprobe"},
}

// ensure installs what of the packages is missing, if this is root.
func (o *Options) ensure(ctx context.Context, packages []debianPackage) error {
	missing := o.missing(ctx, packages)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks what these Debian packages hold, and is no Debian to install them on: %s",
			strings.Join(missing, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing, and only root can install them; type: sudo apt-get install --no-install-recommends %s",
			strings.Join(missing, " "))
	}
	unlock, err := o.lock(ctx, "packages")
	if err != nil {
		return err
	}
	defer unlock()
	if missing = o.missing(ctx, packages); len(missing) == 0 {
		return nil // another guest installed them while this one waited
	}
	o.say("installing Debian packages: %s", strings.Join(missing, " "))
	started := time.Now()
	if err := installPackages(ctx, missing); err != nil {
		return err
	}
	o.say("installed in %v", time.Since(started).Round(100*time.Millisecond))
	return nil
}

// installPackages fetches the package lists only when it does not work without: they are missing or too old.
func installPackages(ctx context.Context, names []string) error {
	install := append([]string{"install", "--yes", "--no-install-recommends"}, names...)
	first := aptGet(ctx, install...)
	if first == nil {
		return nil
	}
	if err := aptGet(ctx, "update"); err != nil {
		return errors.Join(first, err)
	}
	return aptGet(ctx, install...)
}

// aptGet runs apt-get(8) without questions. It waits for another one to let go of dpkg's lock. What has begun is let finish,
// whatever ends this program: killed on the way it leaves packages half installed, and dpkg refuses every later one.
// Therefore it is in a process group of its own, which Ctrl-C does not reach, and prints into a file, not into a pipe that breaks.
func aptGet(ctx context.Context, args ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	printed, err := openNameless("", "apt-get-*")
	if err != nil {
		return err
	}
	defer printed.Close()
	command := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	command.Stdout, command.Stderr = printed, printed
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Run(); err != nil {
		output, _ := io.ReadAll(io.NewSectionReader(printed, 0, 1<<20))
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

func (o *Options) missing(ctx context.Context, packages []debianPackage) []string {
	var names []string
	for _, p := range packages {
		if _, err := os.Stat(p.file); err != nil {
			names = append(names, p.name)
		}
	}
	for _, name := range o.Packages {
		if !installed(ctx, name) {
			names = append(names, name)
		}
	}
	return names
}

// installed asks dpkg-query(1); one that was removed but for its configuration is not.
func installed(ctx context.Context, name string) bool {
	output, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}\n", name).Output()
	return err == nil && slices.Contains(strings.Fields(string(output)), "installed")
}
