package lvm_test

import (
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestRealLVM(t *testing.T) {
	lvmtest.Run(t, func(t *testing.T) (lvmtest.LVM, []string) {
		l, devices := open(t, lvm.Options{})
		return l, devices
	})
}

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
