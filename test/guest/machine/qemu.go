package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"github.com/loam-storage/loam/test/guest/wire"
)

const (
	qemuProgram  = "/usr/bin/qemu-system-x86_64"
	virtiofsd    = "/usr/lib/qemu/virtiofsd"
	qemuBootTime = 3 * time.Minute // emulated, it takes 10 to 20 s on an idle machine
	maxQEMUDisks = 24              // each takes a slot of the one PCI bus, which has 32
)

var qemuPackages = []debianPackage{{"qemu-system-x86", qemuProgram}, {"qemu-system-common", virtiofsd}}

// runQEMU boots Debian's kernel for virtual machines.
func runQEMU(ctx context.Context, options Options) (int, error) {
	if len(options.Disks) > maxQEMUDisks {
		return 0, fmt.Errorf("%d disks: the virtual machine takes at most %d", len(options.Disks), maxQEMUDisks)
	}
	if os.Geteuid() != 0 {
		// virtiofsd opens files for the overlay with O_NOATIME, which only their owner and root may: open(2).
		return 0, errors.New("a virtual machine sees this machine's files only if root runs it; User Mode Linux needs no rights")
	}
	if err := options.ensure(ctx, append(qemuPackages, guestTools...)); err != nil {
		return 0, err
	}
	kernel, err := options.fetchKernel(ctx)
	if err != nil {
		return 0, err
	}
	accelerator, err := options.accelerator(ctx, kernel)
	if err != nil {
		return 0, err
	}
	return bootQEMU(ctx, options, kernel, accelerator)
}

// bootQEMU boots one virtual machine. Whatever it needs, it gets as an open file with no name.
func bootQEMU(ctx context.Context, options Options, kernel kernelImage, accel accelerator) (int, error) {
	disks, err := openDisks("", options.Disks)
	if err != nil {
		return 0, err
	}
	defer closeAll(disks)
	initramfs, err := openNameless("", "guest-initramfs-*")
	if err != nil {
		return 0, err
	}
	defer initramfs.Close()
	if err := writeInitramfs(initramfs, options.Init, kernel); err != nil {
		return 0, err
	}
	line, kernelEnd, err := openLine()
	if err != nil {
		return 0, err
	}
	defer closeAll([]*os.File{line, kernelEnd})
	log := &console{} // the kernel's, QEMU's and virtiofsd's
	share, err := shareFiles(options.Init, log)
	if err != nil {
		return 0, err
	}
	defer share.stop()

	// The first extra file is descriptor 3.
	files := append([]*os.File{kernelEnd, initramfs}, disks...)
	command := exec.Command(qemuProgram, qemuArguments(qemuMachine{
		accel: accel, memory: options.Memory, kernel: kernel.image, line: 3, initramfs: 4, disks: options.Disks,
		firstDisk: 5, share: share.address,
	})...)
	command.ExtraFiles = files
	nodes := make([]string, len(disks))
	for i := range disks {
		nodes[i] = "/dev/vd" + string(rune('a'+i))
	}
	return converse(ctx, options, guest{
		command: command, log: log, line: line, kernelEnd: kernelEnd,
		bootTime: qemuBootTime, modules: kernel.modules, disks: nodes,
	})
}

// qemuMachine is what a virtual machine is made of. Files are descriptors that QEMU inherits.
type qemuMachine struct {
	accel           accelerator
	memory          int64
	kernel          string
	line, initramfs int
	disks           []Disk
	firstDisk       int
	share           string // abstract address of virtiofsd
}

// qemuArguments describes the machine to QEMU: qemu-system-x86_64(1). virtiofsd reads and writes the guest's memory,
// which therefore is a file that the two share.
func qemuArguments(m qemuMachine) []string {
	memory := strconv.FormatInt(m.memory>>20, 10) + "M"
	args := []string{
		"-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-machine", "pc",
		"-accel", m.accel.name, "-cpu", m.accel.cpu, "-smp", strconv.Itoa(min(runtime.NumCPU(), 4)), "-m", memory,
		"-object", "memory-backend-memfd,id=memory,share=on,size=" + memory, "-numa", "node,memdev=memory",
		"-kernel", m.kernel, "-initrd", descriptor(m.initramfs),
		"-append", "console=ttyS0 quiet panic=-1 " + wire.InitVariable + "=" + string(wire.VirtioFS),
		"-chardev", "stdio,id=console", "-serial", "chardev:console",
		"-chardev", "socket,id=line,fd=" + strconv.Itoa(m.line),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=line,name=" + wire.PortName,
		"-chardev", "socket,id=share,abstract=on,path=" + m.share,
		"-device", "vhost-user-fs-pci,chardev=share,tag=" + wire.ShareTag,
	}
	for i, disk := range m.disks {
		cache := "unsafe" // nothing of a blank disk outlives the guest
		if disk.Image != "" {
			cache = "writeback"
		}
		id := "disk" + strconv.Itoa(i)
		args = append(args,
			"-drive", fmt.Sprintf("if=none,id=%s,format=raw,discard=unmap,cache=%s,file=%s", id, cache, descriptor(m.firstDisk+i)),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=%s,serial=%s", id, id))
	}
	return args
}

// descriptor is a path to a file that a process inherited.
func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
