package lifecycle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func TestVolumeLivesOnThinAndThick(t *testing.T) {
	const small, large, content = 320 * lvm.MiB, 512 * lvm.MiB, 8 * lvm.MiB
	life := func(t *testing.T, agent nodetest.Agent, fs string) {
		empty := agent.Capacity(t)
		v := agent.Create(t, nodetest.Request("life-"+fs, fs, small))
		target := agent.Mount(t, v, fs)
		sum := nodetest.Write(t, nodetest.File(target, fs), content)
		before := nodetest.MountedSize(t, target, fs)

		agent.Expand(t, v, large)
		if after := nodetest.MountedSize(t, target, fs); after-before < (large-small)*8/10 {
			t.Errorf("grown from %v to %v, the mounted volume shows %v after %v", small, large, after, before)
		}
		agent.NodeExpand(t, v, large) // as a kubelet may ask all the same
		agent.Unmount(t, v)
		target = agent.Mount(t, v, fs)
		if got := nodetest.Checksum(t, nodetest.File(target, fs), content); got != sum {
			t.Errorf("checksum %s after growing and mounting again, want %s", got, sum)
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
		awaitCapacity(t, agent, empty)
	}
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool(kind, disk)})
			for _, fs := range []string{"ext4", "xfs", ""} {
				t.Run(contents(fs), func(t *testing.T) { life(t, agent, fs) })
			}
		})
	}
}

func TestGrownUnmountedItFillsItsVolumeWhenStaged(t *testing.T) {
	const small, large = 320 * lvm.MiB, 512 * lvm.MiB
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	for _, fs := range []string{"ext4", "xfs"} {
		v := agent.Create(t, nodetest.Request("unmounted-"+fs, fs, small))
		agent.Expand(t, v, large) // mounted nowhere: nothing is left to do until it is staged
		target := agent.Mount(t, v, fs)
		if got := nodetest.MountedSize(t, target, fs); got < large*8/10 {
			t.Errorf("%s: %v after it was grown to %v unmounted", fs, got, large)
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
	}
}

func contents(fs string) string {
	if fs == "" {
		return "block"
	}
	return fs
}

// awaitCapacity waits for what a deletion gives back: a thick volume is zeroed first.
func awaitCapacity(t *testing.T, agent nodetest.Agent, want lvm.Bytes) {
	t.Helper()
	got := agent.Capacity(t)
	for deadline := time.Now().Add(time.Minute); got != want && time.Now().Before(deadline); got = agent.Capacity(t) {
		time.Sleep(50 * time.Millisecond)
	}
	if got != want {
		t.Errorf("%v available after the volume was deleted, %v before it was created", got, want)
	}
}

func TestVolumesAreThereAfterTheNodeComesBack(t *testing.T) {
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			o := nodetest.Options{Config: nodetest.OnePool(kind, disk), Dir: t.TempDir()}
			agent := nodetest.Start(t, o)
			v := agent.Create(t, nodetest.Request("kept", "ext4", 100*lvm.MiB))
			sum := nodetest.Write(t, nodetest.File(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
			agent.Unmount(t, v)
			agent.Stop()
			nodetest.Deactivate(t, disk, "loam-"+kind) // as a reboot leaves it

			agent = nodetest.Start(t, o)
			target := agent.Mount(t, v, "ext4")
			if got := nodetest.Checksum(t, nodetest.File(target, "ext4"), lvm.MiB); got != sum {
				t.Errorf("checksum %s, want %s", got, sum)
			}
			agent.Unmount(t, v)
			agent.Delete(t, v)
		})
	}
}

func TestDeletedThickVolumeLeavesNoBytes(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thick", disk)})
	empty := agent.Capacity(t)
	v := agent.Create(t, nodetest.Request("secret", "", 64*lvm.MiB))
	target := agent.Mount(t, v, "")
	secret := []byte("the tenant's secret, to be found nowhere")
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_SYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for offset := int64(0); offset < int64(64*lvm.MiB); offset += int64(lvm.MiB) {
		if _, err := f.WriteAt(secret, offset); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	agent.Unmount(t, v)
	agent.Delete(t, v)
	awaitCapacity(t, agent, empty)

	raw, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	chunk := make([]byte, lvm.MiB)
	for offset := int64(0); offset < int64(160*lvm.MiB); offset += int64(lvm.MiB) {
		if _, err := raw.ReadAt(chunk, offset); err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(chunk, secret); i >= 0 {
			t.Fatalf("the deleted volume's bytes are on %s at %d", disk, offset+int64(i))
		}
	}
}

func TestSecondDiskMakesThePoolLarger(t *testing.T) {
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disks := lvmtest.RequireDisks(t, 2)
			o := nodetest.Options{Config: nodetest.OnePool(kind, disks[0]), Dir: t.TempDir()}
			agent := nodetest.Start(t, o)
			one := agent.Capacity(t)
			if err := os.WriteFile(filepath.Join(o.Dir, "config.yaml"), []byte(nodetest.OnePool(kind, disks...)), 0o600); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(time.Minute); agent.Capacity(t) < one*19/10; time.Sleep(100 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%v available with a second disk in the configuration, %v before", agent.Capacity(t), one)
				}
			}
		})
	}
}
