package bench

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// quick is jobs of profile quick, as short as can be.
func quick(t *testing.T, jobs ...string) Profile {
	t.Helper()
	p, err := ProfileOf("quick")
	if err != nil {
		t.Fatal(err)
	}
	p.Jobs = slices.DeleteFunc(p.Jobs, func(j Job) bool { return !slices.Contains(jobs, j.Name) })
	p.Size, p.WarmUp, p.Runtime, p.Repetitions = 16*lvm.MiB, 50*time.Millisecond, 200*time.Millisecond, 1
	return p
}

func must(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// mounted mounts a device for as long as the test runs.
func mounted(t *testing.T, device string, options ...string) string {
	t.Helper()
	folder := t.TempDir()
	must(t, "mount", append(options, device, folder)...)
	t.Cleanup(func() { must(t, "umount", folder) })
	return folder
}

// format makes an ext4 file system that writes nothing later on by itself.
func format(t *testing.T, device string, size ...string) {
	t.Helper()
	must(t, "mkfs.ext4", append([]string{"-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", device}, size...)...)
}

// thinVolume is one of 300 MiB in a pool of 200 MiB, with an ext4 file system.
func thinVolume(t *testing.T) string {
	t.Helper()
	disk := lvmtest.RequireDisks(t, 1)[0]
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{disk})
	err := errors.Join(
		l.CreateGroup(lvm.CreateGroup{Name: "bench-vg", Devices: []string{disk}}),
		l.CreatePool(lvm.CreatePool{VG: "bench-vg", Name: "pool", Size: 200 * lvm.MiB}),
		l.CreateThin(lvm.CreateThin{VG: "bench-vg", Pool: "pool", Name: "thin", Size: 300 * lvm.MiB}),
	)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Device("bench-vg", "thin")
	if err != nil {
		t.Fatal(err)
	}
	format(t, d.Path)
	return d.Path
}

func TestThinVolumeIsMeasuredByBothEnginesAlike(t *testing.T) {
	folder := mounted(t, thinVolume(t))
	bothEngines(t, func(t *testing.T, e Engine) {
		p := quick(t, "seq-write", "rand-read-32", "mixed-32", "fsync")
		place, err := Open(t.Context(), Wanted{Path: folder, Size: p.Size})
		if err != nil {
			t.Fatal(err)
		}
		if place.Device != "/dev/mapper/bench--vg-thin" || place.Warning != "" {
			t.Errorf("%+v; expected the thin volume's device, and no warning", place)
		}
		stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{place}})
		if err = errors.Join(err, place.Close()); err != nil {
			t.Fatal(err) // also when it moved another amount than the kernel counted
		}
		for _, j := range stages[0].Jobs {
			if len(j.Runs) != 1 || j.Runs[0].Unchecked || j.Error != "" {
				t.Fatalf("job %s: %+v; expected one run that was held against the kernel's counters", j.Job.Name, j)
			}
			consistent(t, j.Job, j.Runs[0])
		}
		if left, _ := filepath.Glob(filepath.Join(folder, "loam-bench-*")); len(left) > 0 {
			t.Errorf("%v stays behind", left)
		}
	})
}

func TestFileThatWouldFillTheRealPoolIsRefused(t *testing.T) {
	folder := mounted(t, thinVolume(t))
	_, err := Open(t.Context(), Wanted{Path: folder, Size: 190 * lvm.MiB})
	if !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "thin pool bench-vg/pool of 200 MiB") {
		t.Errorf("%v; expected the pool's room to be too little", err)
	}
	_, err = Open(t.Context(), Wanted{Path: folder, Size: 290 * lvm.MiB})
	if !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "MiB free of") {
		t.Errorf("%v; expected the file system's room to be too little", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "loam-bench-*")); len(left) > 0 {
		t.Errorf("%v was made", left)
	}
}

// With its data in the journal ext4 does direct I/O through the page cache, and says nothing.
func TestPageCacheBehindDirectIOIsFound(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	format(t, disk, "128M")
	folder := mounted(t, disk, "-o", "data=journal")
	bothEngines(t, func(t *testing.T, e Engine) {
		p := quick(t, "rand-read-1")
		place, err := Open(t.Context(), Wanted{Path: folder, Size: p.Size})
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(place.Path); err != nil || len(content) == 0 { // all of it is in memory now
			t.Fatal(err)
		}
		stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{place}})
		// fio empties the cache of the file first, so that blocks are read ahead into it.
		if err == nil || !strings.Contains(err.Error(), "the rest was memory") && !strings.Contains(err.Error(), "memory is in between") {
			t.Errorf("%v; expected it to be found out", err)
		}
		if j := stages[0].Jobs[0]; len(j.Runs) != 1 || j.Labels[0] != Partial {
			t.Errorf("%+v; expected the figures, labelled", j)
		}
		if err := place.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBlankDeviceIsMeasuredWhenItsSerialIsTyped(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	bothEngines(t, func(t *testing.T, e Engine) {
		lvmtest.RequireDisks(t, 1) // blank again
		p := quick(t, "seq-read", "rand-write-1")
		reads, err := Open(t.Context(), Wanted{Path: disk, Size: p.Size})
		if err != nil {
			t.Fatal(err)
		}
		stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{reads}})
		if err != nil || len(stages[0].Jobs) != 1 || !strings.Contains(stages[0].Skipped, "--write=") {
			t.Fatalf("%+v, %v; expected the job that reads, and what to type for the other", stages, err)
		}
		serial, _, _ := strings.Cut(stages[0].Skipped[strings.Index(stages[0].Skipped, "--write=")+len("--write="):], " ")
		place, err := Open(t.Context(), Wanted{Path: disk, Size: p.Size, Serial: serial})
		if err != nil {
			t.Fatal(err)
		}
		stages, err = Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{place}})
		if err != nil || len(stages[0].Jobs) != len(p.Jobs) || stages[0].Skipped != "" {
			t.Errorf("%+v, %v; expected all jobs", stages, err)
		}
	})
}

func TestDeviceWithDataIsTheSameAfterwards(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	format(t, disk, "64M")
	before := checksum(t, disk)
	bothEngines(t, func(t *testing.T, e Engine) {
		p := quick(t, "seq-read", "rand-write-1")
		place, err := Open(t.Context(), Wanted{Path: disk, Size: p.Size})
		if err != nil {
			t.Fatal(err)
		}
		stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{place}})
		if err != nil || len(stages[0].Jobs) != 1 || !strings.Contains(stages[0].Skipped, "ext4") {
			t.Errorf("%+v, %v; expected the job that reads, and why no more", stages, err)
		}
	})
	if checksum(t, disk) != before {
		t.Error("the device's contents changed")
	}
}

// checksum is that of the beginning, with the file system and what is measured.
func checksum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(f, 64<<20)); err != nil {
		t.Fatal(err)
	}
	return string(sum.Sum(nil))
}

func TestDiskThatFailsHalfWayLeavesPartialFigures(t *testing.T) {
	path := halfBroken(t)
	var held unix.Stat_t
	if err := unix.Stat(path, &held); err != nil {
		t.Fatal(err)
	}
	place := &Place{Name: path, Path: path, Size: 32 * lvm.MiB, Major: unix.Major(held.Rdev), Minor: unix.Minor(held.Rdev)}
	bothEngines(t, func(t *testing.T, e Engine) {
		p := quick(t)
		p.WarmUp, p.Runtime, p.Repetitions = 0, time.Minute, 2
		p.Jobs = []Job{{Name: "write", Pattern: Write, BlockSize: 4 * lvm.KiB, Depth: 4}}
		stages, err := Run(t.Context(), Plan{Profile: p, Engine: e, Places: []*Place{place}})
		if err == nil || !strings.Contains(err.Error(), "nput/output error") {
			t.Errorf("%v; expected the disk's error", err)
		}
		if j := stages[0].Jobs[0]; len(j.Runs) != 1 || j.Runs[0].Write.Operations == 0 || j.Labels[0] != Partial || j.Error == "" {
			t.Errorf("%+v; expected what was measured until then, labelled", j)
		}
	})
}

func TestFileSystemsInMemoryAreReallyRefused(t *testing.T) {
	lvmtest.RequireDisks(t, 1) // a machine where anything may be mounted
	memory := mounted(t, "none", "-t", "tmpfs")
	for _, dir := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(memory, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	layers := mounted(t, "none", "-t", "overlay", "-o", "lowerdir="+memory+"/lower,upperdir="+memory+"/upper,workdir="+memory+"/work")
	for folder, want := range map[string]string{memory: "tmpfs, which is memory", layers: "overlay, as a container's own files are"} {
		if _, err := Open(t.Context(), Wanted{Path: folder, Size: lvm.MiB}); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}
