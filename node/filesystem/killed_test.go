package filesystem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
	"github.com/loam-storage/loam/node/tool"
)

// killedMkfs runs mkfs as Make does, and kills it when it makes that system call for the nth time, before that has any
// effect. It says whether it was killed: one that makes fewer ends by itself.
func killedMkfs(t *testing.T, r MakeRequest, call string, nth int) bool {
	t.Helper()
	args := []string{"-f", "-o", os.DevNull, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, nth), "--", "mkfs." + string(r.Type)}
	_, err := tool.Run(context.Background(), "strace", append(args, makeArgs(r)...)...)
	var e *tool.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if err != nil && e.ExitCode != -1 && e.ExitCode != 137 { // strace ends as its child does
		t.Fatalf("mkfs failed by itself: %v", err)
	}
	return err != nil
}

// assertClean has the file system's own checker look at all of it.
func assertClean(t *testing.T, r MakeRequest, when string) {
	t.Helper()
	name, args := "e2fsck", []string{"-fn", "--", r.Device}
	if r.Type == XFS {
		name, args = "xfs_repair", []string{"-n", r.Device}
	}
	if _, err := tool.Run(context.Background(), name, args...); err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

func isMade(t *testing.T, r MakeRequest) bool {
	t.Helper()
	is, err := Made(r.Device, r.Type, r.UUID)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// TestKilledMkfsIsEitherMadeAndCleanOrMadeAgain is fault 6. Every write and every flush of mkfs is tried, and after each a
// retry that is killed half-way as well.
func TestKilledMkfsIsEitherMadeAndCleanOrMadeAgain(t *testing.T) {
	if os.Getenv(lvmtest.DisksEnv) != "" {
		t.Skip("needs no disks: it runs without them, outside of guests, where tracing is ten times as fast")
	}
	if _, err := exec.LookPath("/usr/bin/strace"); err != nil {
		t.Skip("needs strace, which kills mkfs at a given write")
	}
	for _, kind := range []Type{Ext4, XFS} {
		t.Run(string(kind), func(t *testing.T) {
			requireMkfs(t, kind)
			writes, finishedAtWrite := killedAtEach(t, kind, "pwrite64")
			flushes, finishedAtFlush := killedAtEach(t, kind, "fsync")
			t.Logf("killed at each of %d writes, finished nevertheless %d times; at each of %d flushes, finished nevertheless %d times",
				writes, finishedAtWrite, flushes, finishedAtFlush)
			if writes < 10 || finishedAtWrite == writes {
				t.Errorf("killed at %d writes, of which %d after it had finished: nothing was tested", writes, finishedAtWrite)
			}
			if finishedAtFlush == 0 {
				t.Error("never finished, even when everything was written and only the last flush was missing")
			}
		})
	}
}

// killedAtEach says how often mkfs could be killed at that system call, and how often it was recognised as finished then.
func killedAtEach(t *testing.T, kind Type, call string) (tries, finished int) {
	t.Helper()
	for nth := 1; ; nth++ {
		r := MakeRequest{Device: image(t, 400*lvm.MiB), Type: kind, UUID: UUID("v")}
		if !killedMkfs(t, r, call, nth) {
			return tries, finished
		}
		tries++
		when := fmt.Sprintf("killed at %s %d", call, nth)
		if isMade(t, r) {
			finished++
			assertClean(t, r, "said to be made when "+when)
		} else {
			again := killedMkfs(t, r, "pwrite64", (nth+1)/2)
			assertMadeAgain(t, r, fmt.Sprintf("%s (and the retry: %t)", when, again))
		}
		if err := os.Remove(r.Device); err != nil {
			t.Fatal(err)
		}
	}
}

// assertMadeAgain goes on after kills that mkfs did not finish before.
func assertMadeAgain(t *testing.T, r MakeRequest, when string) {
	t.Helper()
	if isMade(t, r) {
		t.Errorf("half made and said to be made when %s", when)
	}
	if err := Make(context.Background(), r); err != nil {
		t.Fatalf("mkfs again after it was %s: %v", when, err)
	}
	if !isMade(t, r) {
		t.Errorf("mkfs again after it was %s is not recognised", when)
	}
	assertClean(t, r, "made again after "+when)
}
