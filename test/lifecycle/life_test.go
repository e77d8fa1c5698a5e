package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func onePool(kind string, disks ...string) string {
	s := "pools:\n- name: " + kind + "\n  type: " + kind + "\n  devices:\n    paths:\n"
	for _, d := range disks {
		s += "    - " + d + "\n"
	}
	return s
}

// write fills a file, or the beginning of a block device, with size bytes of noise and returns their checksum.
func write(t *testing.T, path string, size lvm.Bytes) string {
	t.Helper()
	data := make([]byte, size)
	_, _ = io.ReadFull(rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32.32s", filepath.Base(path))))), data)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

func checksum(t *testing.T, path string, size lvm.Bytes) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, int64(size)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// where is the file of a mounted volume that a test writes: the target itself for a raw block volume.
func where(target, fs string) string {
	if fs == "" {
		return target
	}
	return filepath.Join(target, "data")
}

func total(t *testing.T, target, fs string) lvm.Bytes {
	t.Helper()
	if fs == "" {
		f, err := os.Open(target)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
		return lvm.Bytes(n)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(target, &s); err != nil {
		t.Fatal(err)
	}
	return lvm.Bytes(int64(s.Blocks) * s.Bsize)
}

func TestVolumeLivesOnThinAndThick(t *testing.T) {
	const small, large, content = 320 * lvm.MiB, 512 * lvm.MiB, 8 * lvm.MiB
	life := func(t *testing.T, agent nodetest.Agent, fs string) {
		empty := agent.Capacity(t)
		v := agent.Create(t, nodetest.Request("life-"+fs, fs, small))
		target := agent.Mount(t, v, fs)
		sum := write(t, where(target, fs), content)
		before := total(t, target, fs)

		agent.Expand(t, v, large)
		if after := total(t, target, fs); after-before < (large-small)*8/10 {
			t.Errorf("grown from %v to %v, the mounted volume shows %v after %v", small, large, after, before)
		}
		agent.Unmount(t, v)
		target = agent.Mount(t, v, fs)
		if got := checksum(t, where(target, fs), content); got != sum {
			t.Errorf("checksum %s after growing and mounting again, want %s", got, sum)
		}
		agent.Unmount(t, v)
		agent.Delete(t, v)
		awaitCapacity(t, agent, empty)
	}
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			agent := nodetest.Start(t, nodetest.Options{Config: onePool(kind, disk)})
			for _, fs := range []string{"ext4", "xfs", ""} {
				t.Run(contents(fs), func(t *testing.T) { life(t, agent, fs) })
			}
		})
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

func TestSnapshotRestoreAndCloneHoldWhatTheyCopied(t *testing.T) {
	const content = 4 * lvm.MiB
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: onePool("thin", disk) + "  thin: {overprovision: 4}\n"})
	for _, fs := range []string{"ext4", "xfs", ""} {
		t.Run(contents(fs), func(t *testing.T) {
			origin := agent.Create(t, nodetest.Request("origin"+fs, fs, 320*lvm.MiB))
			target := agent.Mount(t, origin, fs)
			old := write(t, where(target, fs), content)
			snapshot := agent.Snapshot(t, origin, "snapshot-"+fs)
			overwrite(t, where(target, fs))

			larger := nodetest.Request("restored"+fs, fs, 512*lvm.MiB)
			larger.VolumeContentSource = nodetest.FromSnapshot(snapshot)
			restored := agent.Create(t, larger)
			same := nodetest.Request("clone"+fs, fs, 320*lvm.MiB)
			same.VolumeContentSource = nodetest.FromVolume(origin)
			clone := agent.Create(t, same)

			// All three at once: a clone's file system has its origin's UUID.
			restoredAt, cloneAt := agent.Mount(t, restored, fs), agent.Mount(t, clone, fs)
			if got := checksum(t, where(restoredAt, fs), content); got != old {
				t.Errorf("the restored volume has checksum %s, the snapshot was taken of %s", got, old)
			}
			if got, now := checksum(t, where(cloneAt, fs), content), checksum(t, where(target, fs), content); got != now || got == old {
				t.Errorf("the clone has checksum %s, its origin %s (%s before it was overwritten)", got, now, old)
			}
			if size := total(t, restoredAt, fs); size < 400*lvm.MiB { // the log of an xfs takes 64 MiB
				t.Errorf("restored to 512 MiB, the volume shows %v", size)
			}
			for _, v := range []*csi.Volume{origin, restored, clone} {
				agent.Unmount(t, v)
				agent.Delete(t, v)
			}
			if _, err := agent.Controller().DeleteSnapshot(context.Background(), &csi.DeleteSnapshotRequest{SnapshotId: snapshot.GetSnapshotId()}); err != nil {
				t.Error(err)
			}
		})
	}
}

func overwrite(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("new "), 1024), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func TestVolumesAreThereAfterTheNodeComesBack(t *testing.T) {
	for _, kind := range []string{"thin", "thick"} {
		t.Run(kind, func(t *testing.T) {
			disk := lvmtest.RequireDisks(t, 1)[0]
			o := nodetest.Options{Config: onePool(kind, disk), Dir: t.TempDir()}
			agent := nodetest.Start(t, o)
			v := agent.Create(t, nodetest.Request("kept", "ext4", 100*lvm.MiB))
			sum := write(t, where(agent.Mount(t, v, "ext4"), "ext4"), lvm.MiB)
			agent.Unmount(t, v)
			agent.Stop()
			deactivate(t, disk, "loam-"+kind) // as a reboot leaves it

			agent = nodetest.Start(t, o)
			target := agent.Mount(t, v, "ext4")
			if got := checksum(t, where(target, "ext4"), lvm.MiB); got != sum {
				t.Errorf("checksum %s, want %s", got, sum)
			}
			agent.Unmount(t, v)
			agent.Delete(t, v)
		})
	}
}

// deactivate deactivates all that can be of a volume group.
func deactivate(t *testing.T, disk, group string) {
	t.Helper()
	l := lvm.New(lvm.Options{})
	l.SetDevices([]string{disk})
	report, err := l.Report(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	vg, _ := report.VolumeGroup(group)
	var active []string
	for _, lv := range vg.LVs {
		if lv.Active && !lv.Hidden {
			active = append(active, lv.Name)
		}
	}
	if err := l.Deactivate(group, active...); err != nil {
		t.Fatal(err)
	}
}

func TestDeletedThickVolumeLeavesNoBytes(t *testing.T) {
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: onePool("thick", disk)})
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
			o := nodetest.Options{Config: onePool(kind, disks[0]), Dir: t.TempDir()}
			agent := nodetest.Start(t, o)
			one := agent.Capacity(t)
			if err := os.WriteFile(filepath.Join(o.Dir, "config.yaml"), []byte(onePool(kind, disks...)), 0o600); err != nil {
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
