package lvm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
)

// resumes tells of every device that the kernel resumes: it sends a "change" event (kernel: lib/kobject_uevent.c,
// drivers/md/dm-uevent.c) each time. The names are those of device-mapper, sorted, each once.
func resumes(t *testing.T) (until func() []string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func() []string {
		var names []string
		b := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, b)
			if err != nil {
				slices.Sort(names)
				return slices.Compact(names) // EAGAIN: no more
			}
			message := string(b[:n])
			if node, ok := strings.CutPrefix(message[:strings.IndexByte(message, 0)], "change@/devices/virtual/block/"); ok {
				names = append(names, mapperName(node))
			}
		}
	}
}

func mapperName(node string) string {
	name, err := os.ReadFile(filepath.Join("/sys/block", node, "dm/name"))
	if err != nil {
		return node
	}
	return strings.TrimSpace(string(name))
}

func TestNeighboursDoNotNoticeAnExtension(t *testing.T) {
	var ran []string
	r := start(t, lvm.Options{ConfigDir: t.TempDir(), Observe: func(c lvm.Command) { ran = append(ran, c.Args[0]) }})
	r.smallPool()
	for _, name := range []string{"b", "c"} {
		r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: name, Size: 8 * lvm.MiB}))
	}
	r.write("a", 0, 4*lvm.MiB)
	defer r.open("a")()
	ran = nil
	until := resumes(t)
	r.must(r.l.Extend(vg, "a", 100*lvm.MiB))
	if got, want := until(), []string{"loam--real-a"}; !slices.Equal(got, want) {
		t.Errorf("resumed were %q, expected %q alone", got, want)
	}
	if got := strings.Join(ran, " "); got != "lvextend" {
		t.Errorf("ran %q", got)
	}
	r.became(100 * lvm.MiB)
	if got := string(r.read("a", 4*lvm.MiB-4, 4)); got != "aaaa" {
		t.Errorf("its contents became %q", got)
	}
	if b := r.device("b"); b.Size != 8*lvm.MiB || b.Suspended {
		t.Errorf("its neighbour became %+v", b)
	}
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "d", Size: 8 * lvm.MiB})) // LVM agrees with what there is
}

// became checks that metadata and device of volume "a" are as large, and that nothing is left half done.
func (r *machine) became(size lvm.Bytes) {
	r.t.Helper()
	lv := r.lv("a")
	if lv.Size != size || lv.Stale || lv.Suspended {
		r.t.Errorf("metadata: %+v, expected %v", lv, size)
	}
	if !lv.Active {
		return
	}
	if d := r.device("a"); d.Size != size || d.Suspended {
		r.t.Errorf("device: %+v, expected %v", d, size)
	}
	if !compare(r.t, r.l) {
		r.t.Error("the group is not as on a healthy machine")
	}
}

// The agent may be killed between the metadata and the device.
func TestInterruptedExtensionIsFinished(t *testing.T) {
	var ran []string
	r := start(t, lvm.Options{ConfigDir: t.TempDir(), Observe: func(c lvm.Command) { ran = append(ran, c.Args[0]) }})
	r.smallPool()
	r.lvm("lvextend", "--driverloaded", "n", "--size", "80m", vg+"/a")
	if lv := r.lv("a"); !lv.Stale || lv.Size != 80*lvm.MiB {
		t.Errorf("after half of the change: %+v", lv)
	}
	ran = nil
	r.must(r.l.Extend(vg, "a", 80*lvm.MiB))
	if len(ran) > 0 {
		t.Errorf("ran %q", ran)
	}
	r.became(80 * lvm.MiB)
}

// Or between the calls that give the device its new table.
func TestInterruptedReloadIsFinished(t *testing.T) {
	for name, interrupt := range map[string]func(table string){
		"loaded": func(table string) { dmsetup(t, "load", "loam--real-a", "--table", table) },
		"suspended": func(table string) {
			dmsetup(t, "load", "loam--real-a", "--table", table)
			dmsetup(t, "suspend", "loam--real-a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, lvm.Options{ConfigDir: t.TempDir()})
			r.smallPool()
			table := strings.Replace(dmsetup(t, "table", "loam--real-a"), "0 81920 ", "0 163840 ", 1)
			r.lvm("lvextend", "--driverloaded", "n", "--size", "80m", vg+"/a")
			interrupt(table)
			until := resumes(t)
			r.must(r.l.Extend(vg, "a", 80*lvm.MiB))
			if got := until(); !slices.Equal(got, []string{"loam--real-a"}) {
				t.Errorf("resumed were %q", got)
			}
			r.became(80 * lvm.MiB)
		})
	}
}

// What is not as on a healthy machine is left to LVM.
func TestExtensionIsLVMsInDoubt(t *testing.T) {
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	r.smallPool()
	r.l.SetDevices(append(r.devices, r.devices[0])) // one of them is named twice
	until := resumes(t)
	r.must(r.l.Extend(vg, "a", 80*lvm.MiB))
	if got := until(); !slices.Contains(got, "loam--real-pool-tpool") {
		t.Errorf("resumed were %q, expected the pool among them", got)
	}
	r.l.SetDevices(r.devices)
	r.became(80 * lvm.MiB)
}

func TestInactiveVolumesAreExtendedInMetadataAlone(t *testing.T) {
	r := start(t, lvm.Options{ConfigDir: t.TempDir()})
	r.smallPool()
	r.must(r.l.Deactivate(vg, "a"))
	until := resumes(t)
	r.must(r.l.Extend(vg, "a", 80*lvm.MiB))
	if got := until(); len(got) > 0 {
		t.Errorf("resumed were %q, expected none", got)
	}
	r.became(80 * lvm.MiB)
	r.must(r.l.Activate(vg, "a"))
	r.became(80 * lvm.MiB)
}

func dmsetup(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dmsetup", append([]string{"--noudevsync"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("dmsetup %q: %v: %s", args, err, out)
	}
	return string(out)
}
