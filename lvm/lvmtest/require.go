package lvmtest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// DisksEnv names blank disks for tests, separated by commas, as `go run ./test/guest --disks=…` sets it.
const DisksEnv = "LOAM_DISKS"

// RequiredEnv, when set, makes a test fail that would be skipped for want of disks: `make test` sets it in the guest.
const RequiredEnv = "LOAM_REQUIRED"

// LongEnv, when set, has tests do all that they can, however long it takes: `make faults` sets it.
const LongEnv = "LOAM_FAULTS"

// IsLong says whether there is time for everything.
func IsLong() bool { return os.Getenv(LongEnv) != "" }

// Long skips a test, or a part of one, for which only `make faults` has the time.
func Long(t testing.TB) {
	t.Helper()
	if !IsLong() {
		t.Skipf("takes long: make faults, or %s=1", LongEnv)
	}
}

// Anywhere is Long in a guest alone, for a test that runs outside of one as well, and much faster.
func Anywhere(t testing.TB) {
	t.Helper()
	if os.Getenv(DisksEnv) != "" {
		Long(t)
	}
}

// ends is how much of both ends of a disk is zeroed: labels, partition tables, superblocks and their copies.
const ends = 2 << 20

// RequireDisks returns n block devices that the test may destroy, blank at both ends, or skips the test. Tests that use it
// share the disks, so they must not run in parallel. What is left of volume groups on them is removed when the test ends,
// which works if nothing is open or mounted by then.
func RequireDisks(t testing.TB, n int) []string {
	t.Helper()
	return blank(t, named(t, n)[:n:n])
}

// RequireLastDisk is RequireDisks for the last disk alone, of four at least, so that a test that mostly waits can run in
// parallel with one that wants up to three.
func RequireLastDisk(t testing.TB) string {
	t.Helper()
	all := named(t, 4)
	return blank(t, all[len(all)-1:])[0]
}

// named are all disks, n at least.
func named(t testing.TB, n int) []string {
	t.Helper()
	list := os.Getenv(DisksEnv)
	if list == "" {
		missing(t, "needs root, device-mapper and %d disks to destroy, named in %s: run it with `go test -exec` in test/guest", n, DisksEnv)
	}
	disks := strings.Split(list, ",")
	if len(disks) < n {
		missing(t, "needs %d disks to destroy; %s names %d", n, DisksEnv, len(disks))
	}
	return disks
}

func blank(t testing.TB, disks []string) []string {
	t.Helper()
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
	for _, at := range []int64{0, size - ends} {
		// The kernel's zeroes are made once. Memory of a process is dear in User Mode Linux: filling 2 MiB takes 20 ms.
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, at, ends); err != nil {
			return fmt.Errorf("%s: zero %d bytes at %d: %w", device, ends, at, err)
		}
	}
	return nil
}
