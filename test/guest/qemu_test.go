package main

import (
	"crypto/rand"
	"os"
	"testing"
	"time"
)

// TestQEMU boots one virtual machine for everything, as that takes a while without KVM.
func TestQEMU(t *testing.T) {
	switch {
	case testing.Short():
		t.Skip("a virtual machine takes longer than -short allows")
	case os.Geteuid() != 0:
		t.Skip("not root, who alone can show a virtual machine this machine's files")
	}
	data := make([]byte, 1<<18)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	got := guest(t, string(data), "--verbose", "--kernel=qemu", "--disks=2x256M", "--", "sh", "-c",
		thinPool+"echo $LOAM_GUEST $LOAM_DISKS\ncat\nexit 5\n")
	if _, err := os.Stat("/usr/bin/qemu-system-x86_64"); err != nil {
		t.Skipf("QEMU cannot be installed here: %s", got.stderr)
	}
	got.expect(t, 5, thinPoolReport+"qemu /dev/vda,/dev/vdb\n"+string(data))
	t.Logf("took %v; %s", time.Since(started).Round(time.Second), got.stderr)
}
