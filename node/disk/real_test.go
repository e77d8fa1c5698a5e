package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/config"
)

// real is a test on real block devices, every one of which the configuration names.
type real struct {
	t       *testing.T
	disks   []string
	lvm     *lvm.LVM
	scanner *Scanner
	pools   []config.Pool
}

func onRealDisks(t *testing.T, n int) *real {
	t.Helper()
	r := &real{t: t, disks: lvmtest.RequireDisks(t, n), lvm: lvm.New(lvm.Options{}), scanner: &Scanner{}}
	t.Cleanup(r.blank) // runs before the disks are given back
	r.pools = pools(t, fmt.Sprintf("- {name: p, devices: {paths: [%s*, /dev/mapper/*, /dev/md*, /dev/loop*]}}\n", strings.Join(r.disks, "*, ")))
	return r
}

// blank zeroes both ends of the disks, which is where every format has its marks, and lets the kernel forget partitions.
func (r *real) blank() {
	for _, d := range r.disks {
		size := r.size(d)
		r.write(d, 0, make([]byte, ends))
		r.write(d, size-ends, make([]byte, ends))
		r.forgetPartitions(d)
	}
}

const (
	ends    = 4 << 20 // zeroed after a test
	checked = 4 << 20 // of both ends goes into a checksum
)

func (r *real) size(device string) int64 {
	r.t.Helper()
	f, err := os.Open(device)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// forgetPartitions lets the kernel read the partition table again.
func (r *real) forgetPartitions(device string) {
	r.t.Helper()
	f, err := os.Open(device)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); err != nil {
		r.t.Fatalf("reading the partitions of %s again: %v", device, err)
	}
}

// state is the checksum of both ends of all disks as they are on the medium, and how many writes the kernel has made to
// each in all, which takes the place of reading gigabytes in between.
func (r *real) state() string {
	r.t.Helper()
	unix.Sync()
	var all []string
	for _, d := range r.disks {
		f, err := os.OpenFile(d, os.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		sum := sha256.New()
		for _, at := range []int64{0, r.size(d) - checked} {
			if _, err := io.CopyBuffer(struct{ io.Writer }{sum}, io.NewSectionReader(f, at, checked), aligned(4<<20)); err != nil {
				r.t.Fatal(err)
			}
		}
		f.Close()
		all = append(all, fmt.Sprintf("%s: %x after %s writes", d, sum.Sum(nil), r.counter(d, 4)))
	}
	return strings.Join(all, ", ")
}

// aligned returns n bytes as O_DIRECT wants them in memory (open(2)).
func aligned(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	skip := page - int(uintptr(unsafe.Pointer(&b[0]))%page)
	return b[skip : skip+n : skip+n]
}

// counter is a field of the kernel's statistics of a disk (Documentation/block/stat.rst).
func (r *real) counter(device string, field int) string {
	r.t.Helper()
	data, err := os.ReadFile("/sys/class/block/" + filepath.Base(device) + "/stat")
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Fields(string(data))[field]
}

// run runs a tool, which belongs to a Debian package that the test cannot do without.
func (r *real) run(pkg, name string, args ...string) {
	r.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		r.t.Skipf("needs %s of Debian's package %s: give test/guest --package=%s", name, pkg, pkg)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// dm makes a device-mapper device for the rest of the test.
func (r *real) dm(name, uuid, table string) {
	r.t.Helper()
	r.run("dmsetup", "dmsetup", "create", name, "--noudevsync", "--uuid", uuid, "--table", table)
	r.run("dmsetup", "dmsetup", "mknodes", name) // no udev does it
	r.t.Cleanup(func() { r.run("dmsetup", "dmsetup", "remove", "--noudevsync", name) })
}

func (r *real) write(device string, at int64, data []byte) {
	r.t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		r.t.Fatal(err)
	}
}

// survey does what an agent does: scan, and ask LVM about the candidates.
func (r *real) survey() Survey {
	r.t.Helper()
	found, err := r.scanner.Scan(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	r.lvm.SetDevices(Candidates(found))
	report, err := r.lvm.Report(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return Survey{Disks: found, Pools: r.pools, Report: report}
}

// verdict is what is decided on a device; the last check before a claim must agree.
func (r *real) verdict(path string) Verdict {
	r.t.Helper()
	s := r.survey()
	i := slices.IndexFunc(s.Disks, func(d Inspected) bool { return d.Path == path })
	if i < 0 {
		r.t.Fatalf("%s is not among %+v", path, s.Disks)
	}
	v := Assess(s)[i]
	err := r.scanner.Recheck(context.Background(), s.Disks[i].Disk)
	if v.State == Free && err != nil || v.State != Free && !errors.Is(err, ErrRefused) {
		r.t.Errorf("%s is %s (%s), and just before it is claimed: %v", path, v.State, v.Reason(), err)
	}
	return v
}

// TestADiskPutInTheOthersPlaceIsAnotherDisk is fault 14, by what is on the disks: a group of two loses one, whose place a
// stranger's disk takes, and then a blank one.
func TestADiskPutInTheOthersPlaceIsAnotherDisk(t *testing.T) {
	r := onRealDisks(t, 2)
	r.lvm.SetDevices(r.disks)
	if err := r.lvm.CreateGroup(lvm.CreateGroup{Name: "loam-p", Devices: r.disks}); err != nil {
		t.Fatal(err)
	}
	if v := r.verdict(r.disks[1]); v.State != Taken || v.Pool != "p" {
		t.Fatalf("%+v, want that pool p has it", v)
	}
	r.erase(r.disks[1])
	r.lvm.SetDevices(r.disks[1:])
	if err := r.lvm.CreateGroup(lvm.CreateGroup{Name: "loam-p", Devices: r.disks[1:]}); err != nil {
		t.Fatal(err)
	}
	before := r.state()
	for _, d := range r.disks {
		if v := r.verdict(d); v.State != Refused || !strings.Contains(v.Reason(), "2 volume groups have the name loam-p") {
			t.Errorf("%s: %+v, want that neither group of the name is used", d, v)
		}
	}
	if g := Groups(r.survey())[0]; len(g.Devices) != 0 || g.Problem == "" {
		t.Errorf("%+v, want no device and a problem", g)
	}
	if after := r.state(); after != before {
		t.Errorf("the disks were\n%s\nand are now\n%s", before, after)
	}

	r.erase(r.disks[1])
	if v := r.verdict(r.disks[1]); v.State != Free {
		t.Errorf("a blank disk in the other's place: %+v, want that it is free", v)
	}
	g := Groups(r.survey())[0]
	if !slices.Equal(g.Devices, r.disks[:1]) || g.Problem != "" || g.VG.MissingPVs != 1 {
		t.Errorf("%+v, want the group on the first disk, with one missing", g)
	}
}

func (r *real) erase(device string) {
	r.t.Helper()
	r.write(device, 0, make([]byte, ends))
}

// TestScanOfUnchangedDisksReadsNone counts what the kernel saw.
func TestScanOfUnchangedDisksReadsNone(t *testing.T) {
	r := onRealDisks(t, 2)
	r.survey()
	reads := func() string { return r.counter(r.disks[0], 0) }
	before, began := reads(), time.Now()
	const scans = 20
	for range scans {
		r.survey()
	}
	if after := reads(); after != before {
		t.Errorf("%s reads became %s", before, after)
	}
	t.Logf("a scan of %d unchanged disks takes %v", len(r.survey().Disks), (time.Since(began) / scans).Round(10*time.Microsecond))
}

// TestHoldersThatComeAndGoAreStillVolumes lists the disks while logical volumes are made and removed on one. Were one of
// them taken for a stranger's device, the disk would be no physical volume of ours for that moment, and its pool gone.
func TestHoldersThatComeAndGoAreStillVolumes(t *testing.T) {
	r := onRealDisks(t, 1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := fmt.Sprintf("come-and-go-%d", i)
			table := fmt.Sprintf("0 2048 linear %s %d", r.disks[0], 2048*(i%8))
			for _, args := range [][]string{
				{"create", name, "--noudevsync", "--uuid", "LVM-" + name, "--table", table}, {"remove", "--noudevsync", name},
			} {
				if out, err := exec.Command("dmsetup", args...).CombinedOutput(); err != nil {
					t.Errorf("dmsetup %s: %v: %s", strings.Join(args, " "), err, out)
					return
				}
			}
		}
	}()
	const looks = 60
	held := 0
	for range looks {
		disks, err := Discover(context.Background(), Source{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range disks {
			if d.Path == r.disks[0] && len(d.Holders) > 0 {
				held++
				if d.heldByOthers() {
					t.Errorf("%s is held by %+v, want logical volumes alone", d.Path, d.Holders)
				}
			}
		}
	}
	close(stop)
	<-stopped
	t.Logf("%d of %d looks met a volume", held, looks)
}
