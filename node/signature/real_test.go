package signature

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm/lvmtest"
)

// mapped makes a device-mapper device of a table, in which DISK stands for a blank disk's path.
func mapped(t *testing.T, table ...string) string {
	t.Helper()
	disk := lvmtest.RequireDisks(t, 1)[0]
	const name = "loam-signature"
	dmsetup := func(stdin string, args ...string) {
		t.Helper()
		for _, args := range [][]string{args, {"mknodes"}} { // also where there is no udev
			cmd := exec.Command("dmsetup", args...)
			cmd.Stdin = strings.NewReader(stdin)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("dmsetup %q: %v: %s", args, err, out)
			}
		}
	}
	dmsetup(strings.ReplaceAll(strings.Join(table, "\n"), "DISK", disk)+"\n", "create", name)
	t.Cleanup(func() { dmsetup("", "remove", "--retry", name) })
	return "/dev/mapper/" + name
}

// TestRealDeviceThatCannotBeReadIsNeverBlank is fault 15: all of it fails, or only the place of a superblock, or the end.
func TestRealDeviceThatCannotBeReadIsNeverBlank(t *testing.T) {
	for _, c := range []struct {
		name  string
		table []string
	}{
		{"all", []string{"0 65536 error"}},
		{"the first sector", []string{"0 1 error", "1 65535 linear DISK 1"}},
		{"the superblock of ext4", []string{"0 2 linear DISK 0", "2 2 error", "4 65532 linear DISK 4"}},
		{"the superblock of btrfs", []string{"0 128 linear DISK 0", "128 8 error", "136 65400 linear DISK 136"}},
		{"the last sector", []string{"0 65535 linear DISK 0", "65535 1 error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			device := mapped(t, c.table...)
			if s, err := Read(context.Background(), device); !errors.Is(err, ErrUnreadable) || !errors.Is(err, unix.EIO) {
				t.Errorf("Read = %+v, %v; want ErrUnreadable for the device's own error", s, err)
			}
		})
	}
}

// TestRealDeviceOfAnOddSizeIsReadToItsEnd has sizes that are no multiple of a page, nor of what is read at each end.
func TestRealDeviceOfAnOddSizeIsReadToItsEnd(t *testing.T) {
	for name, sectors := range map[string]int64{
		"a sector": 1, "less than a page": 7, "one end and a sector": 2049, "two ends less a sector": 4095, "more": 65535,
	} {
		t.Run(name, func(t *testing.T) {
			device := mapped(t, "0 "+strconv.FormatInt(sectors, 10)+" linear DISK 0")
			if s, err := Read(context.Background(), device); err != nil || !s.Blank {
				t.Errorf("a blank device was read as %+v, %v", s, err)
			}
			last := sectors*512 - 1
			writeAt(t, device, "x", last)
			if s, err := Read(context.Background(), device); err != nil || s.Blank || s.DataAt != last {
				t.Errorf("a byte at %d was read as %+v, %v", last, s, err)
			}
		})
	}
}

func TestRealReadSeesWhatOthersHaveWrittenToTheCache(t *testing.T) {
	device := mapped(t, "0 65536 linear DISK 0")
	f, err := os.OpenFile(device, os.O_RDWR, 0) // keeps the page cache
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 1<<20-1); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(context.Background(), device); err != nil || s.Blank || s.DataAt != 1<<20-1 {
		t.Errorf("what was only written to the cache was read as %+v, %v", s, err)
	}
}
