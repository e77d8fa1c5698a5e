package lvmtest_test

import (
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
