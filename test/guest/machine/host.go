package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// runHost runs the command on this machine's own kernel, with loop devices for disks and LVM confined to them by its
// configuration. Nothing else confines the command.
func runHost(ctx context.Context, options Options) (status int, err error) {
	if err := hostServes(); err != nil {
		return 0, err
	}
	if err := options.ensure(ctx, guestTools); err != nil {
		return 0, err
	}
	images, err := openDisks("", options.Disks)
	if err != nil {
		return 0, err
	}
	defer closeAll(images)
	loops, err := attachLoops(images)
	defer func() { err = errors.Join(err, detachLoops(loops)) }()
	if err != nil {
		return 0, err
	}
	confined, err := confineLVM(loops)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(confined)
	defer func() { err = errors.Join(err, removeGroups(confined)) }()
	return runHere(ctx, options, loops, "LVM_SYSTEM_DIR="+confined)
}

// hostServes says what this machine lacks.
func hostServes() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can make loop devices and volumes on this machine's own kernel")
	}
	control, err := os.OpenFile("/dev/mapper/control", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("this machine's kernel has no device-mapper: %w", err)
	}
	return control.Close()
}

// runHere runs the command as a child that gets the caller's streams and terminal.
func runHere(ctx context.Context, options Options, loops []string, lvm string) (int, error) {
	command := exec.Command(options.Args[0], options.Args[1:]...)
	command.Dir = options.Dir
	command.Env = append(environment(options.Env, options.Kernel, loops), lvm)
	command.Stdin, command.Stdout, command.Stderr = options.Stdin, options.Stdout, options.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{
		// On a terminal the command must stay in its foreground process group, elsewhere it gets one that ends as a whole.
		Setpgid: options.Terminal == nil,
		// What it mounts and leaves mounted goes with its mount namespace: mount_namespaces(7).
		Unshareflags: syscall.CLONE_NEWNS,
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("start the command: %w", err)
	}
	target := command.Process.Pid
	if options.Terminal == nil {
		target = -target
	}
	defer context.AfterFunc(ctx, func() { _ = syscall.Kill(target, syscall.SIGKILL) })()
	err := command.Wait()
	if options.Terminal == nil {
		_ = syscall.Kill(target, syscall.SIGKILL) // what it left running holds devices
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return 0, err
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// confineLVM writes an LVM configuration that sees the loop devices alone: lvm.conf(5), devices/filter.
func confineLVM(loops []string) (folder string, err error) {
	folder, err = os.MkdirTemp("", "guest-lvm-*")
	if err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "lvm.conf"), []byte(confinedLVMConf(loops, udevRuns())), 0o644)
}

// udevRuns says whether udevd does: where it does not, as in a container, lvm must make device nodes itself.
func udevRuns() bool {
	_, err := os.Stat("/run/udev/control")
	return err == nil
}

func confinedLVMConf(loops []string, udev bool) string {
	var accept strings.Builder
	for _, loop := range loops {
		fmt.Fprintf(&accept, "\"a|^%s$|\", ", loop)
	}
	rules := "[ " + accept.String() + "\"r|.*|\" ]"
	synchronize := 0
	if udev {
		synchronize = 1
	}
	return fmt.Sprintf(`devices {
	use_devicesfile = 0
	filter = %[1]s
	global_filter = %[1]s
}
global {
	use_lvmpolld = 0
}
activation {
	udev_sync = %[2]d
	udev_rules = %[2]d
	monitoring = 0
}
`, rules, synchronize)
}

// removeGroups removes the volume groups that the command left on the loop devices, which are all that the confined
// LVM sees. LVM is not killed at its work: that would leave devices suspended.
func removeGroups(confined string) error {
	lvm := func(args ...string) (string, error) {
		command := exec.Command("/usr/sbin/lvm", args...)
		command.Env = []string{"LVM_SYSTEM_DIR=" + confined, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		var stderr strings.Builder
		command.Stderr = &stderr
		output, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("lvm %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
		}
		return string(output), nil
	}
	groups, err := lvm("vgs", "--noheadings", "-o", "vg_name")
	if err != nil {
		return err
	}
	for _, group := range strings.Fields(groups) {
		if _, err := lvm("vgremove", "--force", "--yes", group); err != nil {
			return err
		}
	}
	return nil
}
