package faults

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/nodetest"
)

// long is for tests that mostly wait.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("LOAM_FAULTS") == "" {
		t.Skip("takes long: make faults, or LOAM_FAULTS=1")
	}
}

func TestFault30LockedGroupIsNotWaitedForForEver(t *testing.T) {
	long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	agent := nodetest.Start(t, nodetest.Options{Config: nodetest.OnePool("thin", disk)})
	v := agent.Create(t, nodetest.Request("v", "ext4", 64*lvm.MiB))
	agent.Mount(t, v, "ext4")
	f, err := os.OpenFile("/run/lock/lvm/V_loam-thin", os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	created := make(chan error)
	go func() {
		_, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("w", "ext4", 64*lvm.MiB))
		created <- err
	}()
	// Meanwhile what only reads the kernel answers at once, and what reports waits, but not for ever.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := agent.Node().NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: v.GetVolumeId(), VolumePath: agent.Target(v)}); err != nil {
		t.Errorf("figures of a volume: %v", err)
	}
	if err := <-created; status.Code(err) != codes.Aborted {
		t.Errorf("CreateVolume answers %v, not ABORTED", err)
	}
	if _, err := agent.Controller().ListVolumes(context.Background(), &csi.ListVolumesRequest{}); err != nil {
		t.Errorf("ListVolumes: %v", err)
	}
	f.Close()
	agent.Delete(t, agent.Create(t, nodetest.Request("w", "ext4", 64*lvm.MiB)))
	agent.Unmount(t, v)
	agent.Delete(t, v)
}
