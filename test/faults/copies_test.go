package faults

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

func contents(fs string) string {
	if fs == "" {
		return "block"
	}
	return fs
}

func TestFault32RestoreLargerGrowsAndCloneMountsBesideItsOrigin(t *testing.T) {
	const content = 4 * lvm.MiB
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk) + "  thin: {overprovision: 4}\n"})
	for _, fs := range []string{"ext4", "xfs", ""} {
		t.Run(contents(fs), func(t *testing.T) {
			origin := agent.Create(t, nodetest.Request("origin"+fs, fs, 320*lvm.MiB))
			target := agent.Mount(t, origin, fs)
			old := nodetest.Write(t, nodetest.File(target, fs), content)
			snapshot := agent.Snapshot(t, origin, "snapshot-"+fs)
			overwrite(t, nodetest.File(target, fs))

			larger := nodetest.Request("restored"+fs, fs, 512*lvm.MiB)
			larger.VolumeContentSource = nodetest.FromSnapshot(snapshot)
			restored := agent.Create(t, larger)
			same := nodetest.Request("clone"+fs, fs, 320*lvm.MiB)
			same.VolumeContentSource = nodetest.FromVolume(origin)
			clone := agent.Create(t, same)

			// All three at once: a clone's file system has its origin's UUID.
			restoredAt, cloneAt := agent.Mount(t, restored, fs), agent.Mount(t, clone, fs)
			if got := nodetest.Checksum(t, nodetest.File(restoredAt, fs), content); got != old {
				t.Errorf("the restored volume has checksum %s, the snapshot was taken of %s", got, old)
			}
			if got, now := nodetest.Checksum(t, nodetest.File(cloneAt, fs), content), nodetest.Checksum(t, nodetest.File(target, fs), content); got != now || got == old {
				t.Errorf("the clone has checksum %s, its origin %s (%s before it was overwritten)", got, now, old)
			}
			if size := nodetest.MountedSize(t, restoredAt, fs); size < 400*lvm.MiB { // the log of an xfs takes 64 MiB
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
