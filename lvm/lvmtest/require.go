package lvmtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
)

// DisksEnv names blank disks for tests, separated by commas, as `go run ./test/guest --disks=…` sets it.
const DisksEnv = "LOAM_DISKS"

// RequiredEnv, when set, makes a test fail that would be skipped for want of disks: `make test` sets it in the guest.
const RequiredEnv = "LOAM_REQUIRED"

// ends is how much of both ends of a disk is zeroed: labels, partition tables, superblocks and their copies.
const ends = 2 << 20

// RequireDisks returns n block devices that the test may destroy, blank at both ends, or skips the test. Tests that use it
// share the disks, so they must not run in parallel. What is left of volume groups on them is removed when the test ends,
// which works if nothing is open or mounted by then.
func RequireDisks(t testing.TB, n int) []string {
	t.Helper()
	named := os.Getenv(DisksEnv)
	if named == "" {
		missing(t, "needs root, device-mapper and %d disks to destroy, named in %s: run it with `go test -exec` in test/guest", n, DisksEnv)
	}
	disks := strings.Split(named, ",")
	if len(disks) < n {
		missing(t, "needs %d disks to destroy; %s names %d", n, DisksEnv, len(disks))
	}
	disks = disks[:n:n]
	for _, d := range disks {
		if err := wipe(d); err != nil {
			t.Fatalf("make a test disk blank: %v", err)
		}
	}
	t.Cleanup(func() { release(t, disks) })
	return disks
}

// missing skips a test, or fails it where all that tests need is said to be there.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(RequiredEnv) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// release removes every volume on the disks, so that the kernel holds them no more.
func release(t testing.TB, disks []string) {
	l := lvm.New(lvm.Options{})
	if l.Available() != nil {
		return
	}
	l.SetDevices(disks)
	report, err := l.Report(context.Background())
	if err != nil {
		t.Errorf("clean up after the test: %v", err)
	}
	for _, vg := range report.VolumeGroups {
		var names []string
		for _, lv := range vg.LVs {
			if !lv.Hidden && lv.Segment != lvm.Thin { // thin volumes go with their pool
				names = append(names, lv.Name)
			}
		}
		if err := l.Remove(vg.Name, names...); err != nil {
			t.Errorf("clean up after the test: %v", err)
		}
	}
}

// wipe zeroes both ends of a block device.
func wipe(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	if size < 2*ends {
		return fmt.Errorf("%s: %d bytes are too few for a test", device, size)
	}
	zeroes := make([]byte, ends)
	for _, at := range []int64{0, size - ends} {
		if _, err := f.WriteAt(zeroes, at); err != nil {
			return err
		}
	}
	return f.Sync()
}
