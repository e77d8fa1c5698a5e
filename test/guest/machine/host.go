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
// configuration. Nothing else confines the command: it is for a machine that has no other kernel to offer.
func runHost(ctx context.Context, options Options) (status int, err error) {
	if err := hostServes(); err != nil {
		return 0, err
	}
	if err := options.ensure(ctx, guestTools); err != nil {
		return 0, err
	}
	images, err := openDisks(options.Disks)
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
	// On a terminal the command must stay in its foreground process group, elsewhere it gets one that ends as a whole.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: options.Terminal == nil}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("start the command: %w", err)
	}
	target := command.Process.Pid
	if options.Terminal == nil {
		target = -target
	}
	defer context.AfterFunc(ctx, func() { _ = syscall.Kill(target, syscall.SIGKILL) })()
	err := command.Wait()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
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
	return folder, os.WriteFile(filepath.Join(folder, "lvm.conf"), []byte(confinedLVMConf(loops)), 0o644)
}

func confinedLVMConf(loops []string) string {
	var filter strings.Builder
	for _, loop := range loops {
		fmt.Fprintf(&filter, "\"a|^%s$|\", ", loop)
	}
	rules := "[ " + filter.String() + "\"r|.*|\" ]"
	return "devices {\n\tuse_devicesfile = 0\n\tfilter = " + rules + "\n\tglobal_filter = " + rules + "\n}\n" +
		"global {\n\tuse_lvmpolld = 0\n}\nactivation {\n\tmonitoring = 0\n}\n"
}

// removeGroups removes the volume groups that the command left on the loop devices, which are all that the confined
// LVM sees. LVM is not killed at its work: that would leave devices suspended.
func removeGroups(confined string) error {
	lvm := func(args ...string) (string, error) {
		command := exec.Command("/usr/sbin/lvm", args...)
		command.Env = []string{"LVM_SYSTEM_DIR=" + confined, "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
		output, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("lvm %s: %w", strings.Join(args, " "), err)
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
