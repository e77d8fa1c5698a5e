package faults

import (
	"context"
	"os"
	"path/filepath"
	"strings"
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

func TestFault30LockedGroupIsNotWaitedForForEver(t *testing.T) {
	lvmtest.Long(t)
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

func TestFault31LastGoodConfigurationServesWhateverTheClockSays(t *testing.T) {
	lvmtest.Long(t)
	disk := lvmtest.RequireDisks(t, 1)[0]
	good := nodetest.OnePool("thin", disk)
	agent := nodetest.Start(t, nodetest.Options{Config: good})
	serves := func(when string) {
		t.Helper()
		v, err := agent.Controller().CreateVolume(context.Background(), nodetest.Request("v", "ext4", 64*lvm.MiB))
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		agent.Mount(t, v.GetVolume(), "ext4")
		agent.Unmount(t, v.GetVolume())
		agent.Delete(t, v.GetVolume())
	}
	problem := func(part string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			info, err := agent.Admin.Info(context.Background())
			if err == nil && strings.Contains(info.ConfigProblem, part) && (part != "" || info.ConfigProblem == "") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the operator is told %q of the configuration, not %q (%v)", info.ConfigProblem, part, err)
			}
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(agent.Dir, "config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good[:len(good)*2/3]) // as it is half-way through being replaced
	problem("config.yaml")
	serves("with half of a configuration")
	write("pools:\n- {name: thin, typo: thin}\n")
	problem("typo")
	serves("with a mistake in the configuration")
	write(good)
	problem("")

	if name, err := os.Hostname(); err != nil || name != "guest" {
		t.Skipf("the clock is set in guests alone, and this is %s (%v)", name, err)
	}
	var began unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &began); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	set := func(by time.Duration) {
		t.Helper()
		now := unix.NsecToTimeval(began.Nano() + int64(time.Since(started)) + int64(by))
		if err := unix.Settimeofday(&now); err != nil {
			t.Fatal(err)
		}
	}
	defer set(0)
	for _, by := range []time.Duration{24 * time.Hour, -24 * time.Hour} {
		set(by)
		serves("with the clock off by " + by.String())
	}
}
