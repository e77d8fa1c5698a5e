package lvmtest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestFake(t *testing.T) {
	lvmtest.Run(t, func(*testing.T) (lvmtest.LVM, []string) {
		devices := []string{"/dev/fake/a", "/dev/fake/b", "/dev/fake/c"}
		fake := lvmtest.NewFake(map[string]lvm.Bytes{
			devices[0]: lvmtest.SuiteDiskSize, devices[1]: lvmtest.SuiteDiskSize, devices[2]: lvmtest.SuiteDiskSize,
		})
		fake.SetDevices(devices)
		return fake, devices
	})
}

// withVolume is a fake with the thin volume vg/a of 40 MiB in the pool vg/pool of 100 MiB.
func withVolume(t *testing.T, dir string) *lvmtest.Fake {
	t.Helper()
	fake := lvmtest.NewFake(map[string]lvm.Bytes{"/dev/a": lvm.GiB})
	fake.Dir = dir
	fake.SetDevices([]string{"/dev/a"})
	for _, err := range []error{
		fake.CreateGroup(lvm.CreateGroup{Name: "vg", Devices: []string{"/dev/a"}}),
		fake.CreatePool(lvm.CreatePool{VG: "vg", Name: "pool", Size: 100 * lvm.MiB}),
		fake.CreateThin(lvm.CreateThin{VG: "vg", Pool: "pool", Name: "a", Size: 40 * lvm.MiB}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return fake
}

func volume(t *testing.T, fake *lvmtest.Fake, name string) lvm.LogicalVolume {
	t.Helper()
	r, err := fake.Report(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	vg, _ := r.VolumeGroup("vg")
	lv, ok := vg.LV(name)
	if !ok {
		t.Fatalf("no volume %s in %+v", name, vg)
	}
	return lv
}

func TestFakePoolHoldsWhatItsVolumesHold(t *testing.T) {
	fake := withVolume(t, "")
	used := func(want lvm.Bytes) {
		t.Helper()
		if got := volume(t, fake, "pool").Mapped; got != want {
			t.Errorf("the pool holds %v, expected %v", got, want)
		}
	}
	used(0)
	fake.SetMapped("vg", "a", 10*lvm.MiB)
	used(10 * lvm.MiB)
	if err := fake.CreateSnapshot(lvm.CreateSnapshot{VG: "vg", Origin: "a", Name: "clone", Writable: true}); err != nil {
		t.Fatal(err)
	}
	used(10 * lvm.MiB) // shared
	fake.SetMapped("vg", "clone", 15*lvm.MiB)
	used(15 * lvm.MiB)
	if d, err := fake.Device("vg", "clone"); err != nil || d.Mapped != 15*lvm.MiB {
		t.Errorf("%+v, error %v", d, err)
	}
	if err := fake.Remove("vg", "a"); err != nil {
		t.Fatal(err)
	}
	used(15 * lvm.MiB) // the clone holds on to what it shared
	fake.SetMapped("vg", "clone", 200*lvm.MiB)
	if p := volume(t, fake, "pool"); p.Health != lvm.OutOfData || p.Mapped != p.Size {
		t.Errorf("a full pool: %+v", p)
	}
	if err := fake.Remove("vg", "clone"); err != nil {
		t.Fatal(err)
	}
	used(0)
}

func TestFakeFailsAsTold(t *testing.T) {
	fake := withVolume(t, "")
	broken := errors.New("broken")
	only := func(op string) func(string) error {
		return func(got string) error {
			if got == op {
				return broken
			}
			return nil
		}
	}
	fake.Fail = only("CreateThin")
	create := lvm.CreateThin{VG: "vg", Pool: "pool", Name: "b", Size: lvm.MiB}
	if err := fake.CreateThin(create); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	fake.Fail, fake.After = nil, only("CreateThin")
	if err := fake.CreateThin(create); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	volume(t, fake, "b") // made all the same
	fake.Fail = only("Report")
	if _, err := fake.Report(context.Background()); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if fake.Calls("CreateThin") != 3 || fake.Calls("Report") != 2 || fake.Processes() != 7 {
		t.Errorf("%d CreateThin, %d Report, %d processes", fake.Calls("CreateThin"), fake.Calls("Report"), fake.Processes())
	}
}

func TestFakeBlockedGroupBlocksNothingElse(t *testing.T) {
	fake := withVolume(t, "")
	begun, end := make(chan struct{}), make(chan struct{})
	fake.Before = func(op string) {
		if op == "Extend" {
			close(begun)
			<-end
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := fake.Extend("vg", "a", 80*lvm.MiB); err != nil {
			t.Error(err)
		}
	})
	<-begun
	if lv := volume(t, fake, "a"); lv.Size != 40*lvm.MiB {
		t.Errorf("extended to %v already", lv.Size)
	}
	if _, err := fake.Device("vg", "a"); err != nil {
		t.Error(err)
	}
	fake.AddDisk("/dev/b", lvm.GiB)
	fake.SetDevices([]string{"/dev/a", "/dev/b"})
	if err := fake.CreateGroup(lvm.CreateGroup{Name: "other", Devices: []string{"/dev/b"}}); err != nil {
		t.Error(err)
	}
	close(end)
	wg.Wait()
	if lv := volume(t, fake, "a"); lv.Size != 80*lvm.MiB {
		t.Errorf("size is %v", lv.Size)
	}
}

func TestFakeReboot(t *testing.T) {
	fake := withVolume(t, "")
	fake.SetOpen("vg", "a", 1)
	if err := fake.Deactivate("vg", "a"); err == nil {
		t.Error("an open volume was deactivated")
	}
	if err := fake.Remove("vg", "a"); err == nil {
		t.Error("an open volume was removed")
	}
	fake.Reboot()
	if lv := volume(t, fake, "a"); lv.Active || lv.Open {
		t.Errorf("after a reboot: %+v", lv)
	}
	if err := fake.Activate("vg", "a"); err != nil || !volume(t, fake, "pool").Active {
		t.Errorf("error %v, pool %+v", err, volume(t, fake, "pool"))
	}
	fake.SetHealth("vg", "pool", lvm.NeedsCheck)
	fake.SetActive("vg", "a", false)
	if lv := volume(t, fake, "a"); lv.Active || volume(t, fake, "pool").Health != lvm.NeedsCheck {
		t.Errorf("unexpected: %+v", lv)
	}
	fake.Edit = func(r *lvm.Report) { r.VolumeGroups[0].Exported = true }
	if r, _ := fake.Report(context.Background()); !r.VolumeGroups[0].Exported {
		t.Error("the report was not edited")
	}
}

func TestFakeFilesHoldContents(t *testing.T) {
	fake := withVolume(t, t.TempDir())
	device := func(name string) string {
		t.Helper()
		d, err := fake.Device("vg", name)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(d.Path)
		if err != nil || info.Size() != int64(d.Size) {
			t.Errorf("%s: %v, error %v, expected a file of %v", name, info, err, d.Size)
		}
		return d.Path
	}
	f, err := os.OpenFile(device("a"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		fake.CreateSnapshot(lvm.CreateSnapshot{VG: "vg", Origin: "a", Name: "clone", Writable: true}),
		fake.Extend("vg", "clone", 80*lvm.MiB),
		fake.Rename("vg", "clone", "copy"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	path := device("copy")
	if data, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, []byte("hello\x00")) {
		t.Errorf("the clone begins with %q, error %v", data[:10], err)
	}
	if err := fake.Remove("vg", "copy"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the removed volume's file: %v", err)
	}
}
