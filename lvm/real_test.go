package lvm_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestRealLVM(t *testing.T) {
	t.Parallel() // with TestOpenVolumeIsNotRemoved
	lvmtest.Run(t, func(t *testing.T) (lvmtest.LVM, []string) {
		l, devices := open(t, lvm.Options{ConfigDir: t.TempDir()})
		return both{l, t}, devices
	})
}

const vg = "loam-real"

// open returns real LVM over blank disks.
func open(t *testing.T, o lvm.Options) (*lvm.LVM, []string) {
	t.Helper()
	devices := lvmtest.RequireDisks(t, lvmtest.SuiteDisks)
	l := lvm.New(o)
	if err := l.Available(); err != nil {
		t.Fatal(err)
	}
	l.SetDevices(devices)
	return l, devices
}

// machine is a test with LVM and the disks that it may look at.
type machine struct {
	t       *testing.T
	l       *lvm.LVM
	devices []string
}

func start(t *testing.T, o lvm.Options) *machine {
	t.Helper()
	l, devices := open(t, o)
	return &machine{t, l, devices}
}

func (r *machine) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *machine) report() lvm.Report {
	r.t.Helper()
	report, err := r.l.Report(context.Background())
	r.must(err)
	return report
}

func (r *machine) lv(name string) lvm.LogicalVolume {
	r.t.Helper()
	group, _ := r.report().VolumeGroup(vg)
	lv, ok := group.LV(name)
	if !ok {
		r.t.Fatalf("no volume %s in %+v", name, group)
	}
	return lv
}

func (r *machine) device(name string) lvm.Device {
	r.t.Helper()
	d, err := r.l.Device(vg, name)
	r.must(err)
	return d
}

// pool makes a group of the first disk and a pool in it.
func (r *machine) pool(p lvm.CreatePool) {
	r.t.Helper()
	r.must(r.l.CreateGroup(lvm.CreateGroup{Name: vg, Devices: r.devices[:1]}))
	r.must(r.l.CreatePool(p))
}

// smallPool makes a pool and a thin volume "a" of 40 MiB.
func (r *machine) smallPool() {
	r.t.Helper()
	r.pool(lvm.CreatePool{VG: vg, Name: "pool", Size: 64 * lvm.MiB})
	r.must(r.l.CreateThin(lvm.CreateThin{VG: vg, Pool: "pool", Name: "a", Size: 40 * lvm.MiB}))
}

// lvm runs what the package has no method for, as somebody else on the machine would.
func (r *machine) lvm(args ...string) {
	r.t.Helper()
	line := append([]string{args[0], "--config", lvm.Settings + "backup{backup=0 archive=0}", "--devices", strings.Join(r.devices, ",")}, args[1:]...)
	if out, err := exec.Command("lvm", line...).CombinedOutput(); err != nil {
		r.t.Fatalf("lvm %q: %v: %s", args, err, out)
	}
}

// open holds a volume open until the test ends.
func (r *machine) open(name string) (release func()) {
	r.t.Helper()
	f, err := os.Open(r.device(name).Path)
	r.must(err)
	release = sync.OnceFunc(func() { f.Close() })
	r.t.Cleanup(release)
	return release
}

// write fills a part of a volume with something and waits until it is on its device.
func (r *machine) write(name string, at, size lvm.Bytes) {
	r.t.Helper()
	f, err := os.OpenFile(r.device(name).Path, os.O_WRONLY, 0)
	r.must(err)
	defer f.Close()
	_, err = f.WriteAt(bytes.Repeat([]byte(name), int(size)/len(name)+1)[:size], int64(at))
	r.must(err)
	r.must(f.Sync())
}

// fill writes to a volume until its pool has no room, and returns the error.
func (r *machine) fill(name string) error {
	r.t.Helper()
	f, err := os.OpenFile(r.device(name).Path, os.O_WRONLY, 0)
	r.must(err)
	defer f.Close()
	block := bytes.Repeat([]byte{1}, 1<<20)
	for {
		_, err := f.Write(block)
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// read returns a part of a volume as its device has it now.
func (r *machine) read(name string, at, size lvm.Bytes) []byte {
	r.t.Helper()
	f, err := os.Open(r.device(name).Path)
	r.must(err)
	defer f.Close()
	b := make([]byte, size)
	_, err = f.ReadAt(b, int64(at))
	r.must(err)
	return b
}

// copyHead copies what makes a device a physical volume.
func (r *machine) copyHead(from, to string) {
	r.t.Helper()
	src, err := os.Open(from)
	r.must(err)
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY, 0)
	r.must(err)
	defer dst.Close()
	_, err = io.CopyN(dst, src, 2<<20)
	r.must(err)
	r.must(dst.Sync())
	r.t.Cleanup(func() { // or the group could not be removed
		if err := os.WriteFile(to, make([]byte, 2<<20), 0); err != nil {
			r.t.Error(err)
		}
	})
}
