package machine

import (
	"slices"
	"strings"
	"testing"
)

func TestQEMUArguments(t *testing.T) {
	args := qemuArguments(qemuMachine{
		accel: emulator, memory: 1 << 30, kernel: "/k", line: 3, initramfs: 4, firstDisk: 5, share: "address",
		disks: []Disk{{Size: 1 << 30}, {Image: "/with,comma.img"}},
	})
	for _, want := range [][]string{
		{"-accel", "tcg,thread=multi,tb-size=512"},
		{"-m", "1024M"},
		{"-initrd", "/proc/self/fd/4"},
		{"-append", "console=ttyS0 quiet panic=-1 LOAM_GUEST_INIT=virtiofs"},
		{"-chardev", "socket,id=line,fd=3"},
		{"-drive", "if=none,id=disk0,format=raw,discard=unmap,cache=unsafe,file=/proc/self/fd/5"},
		{"-drive", "if=none,id=disk1,format=raw,discard=unmap,cache=writeback,file=/proc/self/fd/6"},
		{"-device", "virtio-blk-pci,drive=disk1,serial=disk1"},
	} {
		if !containsInOrder(args, want) {
			t.Errorf("%q is not among the arguments:\n%s", want, strings.Join(args, " "))
		}
	}
}

func containsInOrder(list, part []string) bool {
	for i := range list {
		if len(list)-i >= len(part) && slices.Equal(list[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func TestConfinedLVMSeesTheLoopDevicesAlone(t *testing.T) {
	got := confinedLVMConf([]string{"/dev/loop3", "/dev/loop7"}, false)
	for _, want := range []string{
		`	filter = [ "a|^/dev/loop3$|", "a|^/dev/loop7$|", "r|.*|" ]`,
		`	global_filter = [ "a|^/dev/loop3$|", "a|^/dev/loop7$|", "r|.*|" ]`,
		"	use_devicesfile = 0",
		"	udev_sync = 0",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %q in:\n%s", want, got)
		}
	}
	if got := confinedLVMConf(nil, true); !strings.Contains(got, `filter = [ "r|.*|" ]`) || !strings.Contains(got, "udev_sync = 1") {
		t.Errorf("without disks, LVM must see nothing:\n%s", got)
	}
}
