package machine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/test/guest/wire"
)

// umlKernel is what Debian's package user-mode-linux installs.
const umlKernel = "/usr/bin/linux.uml"

// maxUMLDisks: the driver has 16 (arch/um/drivers/ubd_kern.c, MAX_DEV), and we leave ubda unused.
const maxUMLDisks = 15

// umlBootTime bounds a boot that takes a second or two on an idle machine.
const umlBootTime = 90 * time.Second

// runUML boots User Mode Linux on this machine's own files: Documentation/virt/uml/user_mode_linux_howto_v2.rst.
func runUML(ctx context.Context, options Options) (int, error) {
	if len(options.Disks) > maxUMLDisks {
		return 0, fmt.Errorf("%d disks: User Mode Linux takes at most %d", len(options.Disks), maxUMLDisks)
	}
	if err := options.ensure(ctx, append([]debianPackage{{"user-mode-linux", umlKernel}}, guestTools...)); err != nil {
		return 0, err
	}
	modules, err := umlModules(ctx)
	if err != nil {
		return 0, err
	}
	disks, err := openDisks(umlDiskFolder(options), options.Disks)
	if err != nil {
		return 0, err
	}
	defer closeAll(disks)
	line, kernelEnd, err := openLine()
	if err != nil {
		return 0, err
	}
	defer closeAll([]*os.File{line, kernelEnd})

	// The first extra file is descriptor 3. Disks are named by descriptor: blank ones have no other name, and a path
	// with a comma or a colon in it would be taken for two.
	files := append([]*os.File{kernelEnd}, disks...)
	args := []string{
		"mem=" + strconv.FormatInt(options.Memory>>20, 10) + "M",
		"rootfstype=hostfs", "rootflags=/", "ro", fmt.Sprintf("init=%q", options.Init),
		fmt.Sprintf("%s=%s", wire.InitVariable, wire.HostFS), "con=null", "ssl=null", "con0=null,fd:1", "ssl0=fd:3", "noreboot", "quiet",
		"pty.legacy_count=0", // hundreds of device nodes, each of which lvm would look at
		"uml_dir=/dev/null/", // nowhere: it would leave a folder in the home directory
	}
	if options.Tap != "" { // vector transports, in the howto named above
		args = append(args, "vec0:transport=tap,ifname="+options.Tap+",depth=128,gro=1")
	}
	var nodes []string
	for i := range disks {
		letter := string(rune('b' + i))
		args = append(args, fmt.Sprintf("ubd%s=/proc/self/fd/%d", letter, 4+i))
		nodes = append(nodes, "/dev/ubd"+letter)
	}
	command := exec.Command(umlKernel, args...)
	command.ExtraFiles = files
	command.Env = memoryFolder(options.Memory)
	processor, err := takeProcessor()
	if err != nil {
		return 0, err
	}
	defer processor.release()
	return converse(ctx, options, guest{
		command: command, prepare: processor.run, log: &console{}, line: line, kernelEnd: kernelEnd,
		bootTime: umlBootTime, drowsy: true, modules: modules, disks: nodes,
	})
}

// umlModules is where Debian keeps the modules of this kernel, whose release it tells.
func umlModules(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, umlKernel, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask User Mode Linux for its release: %w", err)
	}
	return filepath.Join("/usr/lib/uml/modules", strings.TrimSpace(string(output))), nil
}

// shm is where files are kept in memory, in Debian as in containers.
const shm = "/dev/shm"

// memoryFolder says where User Mode Linux keeps its memory, a file without a name. It takes /dev/shm by itself, and
// dies by SIGBUS when that is too small, as it is in many containers; elsewhere it is only slower.
func memoryFolder(memory int64) []string {
	if roomIn(shm) > memory {
		return []string{"TMPDIR=" + shm}
	}
	return []string{"TMPDIR=" + os.TempDir()}
}

// umlDiskFolder says where blank disks are: in memory if that has room for three such guests, or else in os.TempDir. Whatever
// a guest flushes, User Mode Linux flushes on this machine, too, where nobody wants it: guests that share a disk would do little
// else than wait for it. (QEMU is told not to: cache=unsafe.)
func umlDiskFolder(options Options) string {
	need := options.Memory
	for _, disk := range options.Disks {
		if disk.Image == "" {
			need += disk.Size
		}
	}
	if free, err := memoryAvailable(); err != nil || min(free, roomIn(shm)) < 3*need {
		return ""
	}
	return shm
}

// roomIn is how many bytes a file system has room for; 0, if nobody knows.
func roomIn(folder string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize
}

// memoryAvailable is how many bytes processes may still take without swapping (proc(5), /proc/meminfo).
func memoryAvailable() (bytes int64, err error) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, kib, _ := strings.Cut(string(info), "MemAvailable:")
	if _, err := fmt.Sscan(kib, &bytes); err != nil {
		return 0, fmt.Errorf("MemAvailable in /proc/meminfo: %w", err)
	}
	return bytes << 10, nil
}
