package lvm_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// TestEngineFigures prints how package lvm compares with LVM's commands, in the same guest on the same volumes.
func TestEngineFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" {
		t.Skip("prints figures, and tests nothing: make bench")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))) // as the agent
	fmt.Println("\npackage lvm beside LVM's commands, at so many volumes in one thin pool (\"x\": how many times as long LVM's take)")
	fmt.Printf("  %7s  %17s  %17s  %17s  %21s\n", "volumes", "report, unchanged", "report, first", "create", "activation after boot")
	for _, n := range []int{10, 100, 500, 1000} {
		engineAt(t, n)
	}
}

func engineAt(t *testing.T, n int) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	l := populate(t, disk, n)
	defer empty(t, disk)
	group := func() lvm.VolumeGroup { return figures(t, l) }
	names := thinVolumes(group())
	// Activation: all in one command, against one command for each of some.
	const single = 5
	each := timed(1, func() {
		for _, name := range names[:single] {
			run(t, "lvchange", "--devices", disk, "-ay", "figures/"+name)
		}
	}) * time.Duration(len(names)) / single
	run(t, "vgchange", "--devices", disk, "-an", "figures")
	all := timed(1, func() { must(t, l.Activate("figures", names...)) })

	asked := timed(5, func() {
		_, err := l.Ask()
		must(t, err)
	})
	group()
	unchanged := timed(51, func() { group() })
	first := timed(11, func() {
		fresh := lvm.New(lvm.Options{ConfigDir: t.TempDir()})
		fresh.SetDevices([]string{disk})
		_, err := fresh.Report(context.Background())
		must(t, err)
	})
	made := 0
	create := func(do func(name string)) time.Duration {
		return timed(5, func() {
			made++
			do(fmt.Sprint("new", made))
		})
	}
	creating := create(func(name string) {
		must(t, l.CreateThin(lvm.CreateThin{VG: "figures", Pool: "pool", Name: name, Size: 64 * lvm.MiB}))
	})
	plainly := create(func(name string) {
		run(t, "lvcreate", "--devices", disk, "--virtualsize", "64m", "--thinpool", "figures/pool", "--name", name)
	})
	fmt.Printf("  %7d  %17s  %17s  %17s  %21s\n", n, beside(unchanged, asked), beside(first, asked), beside(creating, plainly), beside(all, each))
	run(t, "vgchange", "--devices", disk, "-an", "figures")
}

// TestStallFigures prints for how long a neighbour's write waits while a thin volume grows, by package lvm and by lvextend. On one processor,
// as User Mode Linux has it, lvextend keeps nobody waiting either: the kernel's grace periods, for which it waits once for each active volume
// of the pool, are over at once.
func TestStallFigures(t *testing.T) {
	if os.Getenv("LOAM_FIGURES") == "" || runtime.NumCPU() < 2 {
		t.Skip("prints figures, and tests nothing: make bench, in a guest with two processors")
	}
	fmt.Println("\nlongest of a neighbour's direct writes, one each millisecond, while a thin volume grows (least and median of 15 times)")
	fmt.Printf("  %7s  %24s  %24s  %24s  %14s\n", "volumes", "nothing grows", "package lvm", "lvextend", "times as long")
	for _, n := range []int{10, 100, 500} {
		stallAt(t, n)
	}
}

func stallAt(t *testing.T, n int) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	l := populate(t, disk, n)
	defer empty(t, disk)
	names := thinVolumes(figures(t, l))
	must(t, l.Activate("figures", names...))
	size := 64 * lvm.MiB
	longest := func(do func(size lvm.Bytes)) (all []time.Duration) {
		for range 15 {
			size += 4 * lvm.MiB
			all = append(all, stall(t, names[1], func() { do(size) }))
		}
		slices.Sort(all)
		return all
	}
	ours := longest(func(size lvm.Bytes) { must(t, l.Extend("figures", names[0], size)) })
	plain := longest(func(size lvm.Bytes) {
		run(t, "lvextend", "--devices", disk, "--size", fmt.Sprintf("%db", size), "figures/"+names[0])
	})
	nothing := longest(func(lvm.Bytes) { time.Sleep(200 * time.Millisecond) })
	both := func(all []time.Duration) string { return fmt.Sprintf("%v, %v", round(all[0]), round(all[len(all)/2])) }
	ratio := func(i int) float64 { return float64(plain[i]) / float64(max(ours[i], 1)) }
	fmt.Printf("  %7d  %24s  %24s  %24s  %14s\n", n, both(nothing), both(ours), both(plain), fmt.Sprintf("%.3g, %.3g", ratio(0), ratio(len(ours)/2)))
	run(t, "vgchange", "--devices", disk, "-an", "figures")
}

func figures(t *testing.T, l *lvm.LVM) lvm.VolumeGroup {
	t.Helper()
	report, err := l.Report(context.Background())
	must(t, err)
	vg, ok := report.VolumeGroup("figures")
	if !ok {
		t.Fatal("the group is gone")
	}
	return vg
}

func thinVolumes(vg lvm.VolumeGroup) (names []string) {
	for _, lv := range vg.LVs {
		if lv.Segment == lvm.Thin {
			names = append(names, lv.Name)
		}
	}
	return names
}

func beside(ours, theirs time.Duration) string {
	return fmt.Sprintf("%v, x %.3g", round(ours), float64(theirs)/float64(max(ours, 1)))
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// timed is how long one takes, by the median: on a machine that does other work some take several times as long.
func timed(times int, do func()) time.Duration {
	return median(times, func() time.Duration {
		started := time.Now()
		do()
		return time.Since(started)
	})
}

func median(times int, measure func() time.Duration) time.Duration {
	all := make([]time.Duration, times)
	for i := range all {
		all[i] = measure()
	}
	slices.Sort(all)
	return all[times/2]
}

// populate makes a group with a thin pool and n inactive volumes.
func populate(t *testing.T, disk string, n int) *lvm.LVM {
	t.Helper()
	l := lvm.New(lvm.Options{ConfigDir: t.TempDir()})
	l.SetDevices([]string{disk})
	must(t, l.CreateGroup(lvm.CreateGroup{Name: "figures", Devices: []string{disk}, MetadataSize: 16 * lvm.MiB}))
	must(t, l.CreatePool(lvm.CreatePool{VG: "figures", Name: "pool", Size: 2 * lvm.GiB, MetadataSize: 32 * lvm.MiB}))
	must(t, l.CreateThin(lvm.CreateThin{VG: "figures", Pool: "pool", Name: "v00000", Size: 64 * lvm.MiB, Tags: []string{"figures"}}))
	run(t, "vgchange", "--devices", disk, "-an", "figures")
	lvmtest.Multiply(t, disk, "figures", "pool", n)
	return l
}

func empty(t *testing.T, disk string) {
	t.Helper()
	run(t, "vgremove", "--devices", disk, "--yes", "--force", "-qq", "figures")
}

// stall is the longest that a write to a volume takes while something is done.
func stall(t *testing.T, neighbour string, do func()) time.Duration {
	t.Helper()
	f, err := os.OpenFile("/dev/mapper/figures-"+neighbour, os.O_RDWR|unix.O_DIRECT, 0)
	must(t, err)
	defer f.Close()
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	var stop atomic.Bool
	var took []time.Duration
	done := make(chan error)
	go func() {
		for !stop.Load() {
			started := time.Now()
			if _, err := f.WriteAt(page, 0); err != nil {
				done <- err
				return
			}
			took = append(took, time.Since(started))
			time.Sleep(time.Millisecond)
		}
		done <- nil
	}()
	time.Sleep(200 * time.Millisecond)
	do()
	stop.Store(true)
	must(t, <-done)
	return slices.Max(took)
}

func run(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("lvm", args...).CombinedOutput(); err != nil {
		t.Fatalf("lvm %q: %v: %s", args, err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
