package filesystem

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

// corruptSize is how large the file systems of these tests are.
const corruptSize = 320 << 20

// corrupted overwrites metadata of a file system that is not mounted.
func corrupted(t *testing.T, device string) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("garbage!"), 8<<10/8)
	_, err = f.WriteAt(garbage, 4096) // ext4: the group descriptors; xfs: the first group's free space trees
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// sum is over what the file system was made on, as reading a whole disk takes a guest half a minute.
func sum(t *testing.T, device string) [32]byte {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.LimitReader(f, corruptSize), make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

// TestCheckTellsOfCorruptionAndChangesNothing is fault 19, on images.
func TestCheckTellsOfCorruptionAndChangesNothing(t *testing.T) {
	lvmtest.Anywhere(t)
	bothTypes(t, func(t *testing.T, kind Type) {
		path := image(t, 400*lvm.MiB)
		assertCorrupt(t, path, kind)
	})
}

// TestRealCheckTellsOfCorruptionAndChangesNothing is fault 19, on block devices, which checkers open in other ways.
func TestRealCheckTellsOfCorruptionAndChangesNothing(t *testing.T) {
	bothTypes(t, func(t *testing.T, kind Type) { assertCorrupt(t, oneDisk(t), kind) })
}

func assertCorrupt(t *testing.T, device string, kind Type) {
	t.Helper()
	madeSmall(t, device, kind, corruptSize)
	if err := Check(context.Background(), device, kind); err != nil {
		t.Errorf("Check of a new one = %v", err)
	}
	corrupted(t, device)
	before := sum(t, device)
	err := Check(context.Background(), device, kind)
	words := map[Type]string{Ext4: "Corrupt group descriptor", XFS: "Metadata CRC error detected"}[kind]
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Check = %v; want ErrCorrupt with the checker's words, on one line", err)
	}
	if sum(t, device) != before {
		t.Error("Check changed the device")
	}
}

func TestComplaintsAreWhatIsWrongAndNotWhatIsDone(t *testing.T) {
	const output = "ext2fs_check_desc: Corrupt group descriptor\n\nPass 1: Checking inodes, blocks, and sizes\na\na\nb\n\xff\nd\ne\n" +
		"e2fsck 1.47.0 (5-Feb-2023)\nPhase 2 - using internal log\n        - zero log...\nNo modify flag set, skipping phase 5\n"
	if got := complaints(output); got != "ext2fs_check_desc: Corrupt group descriptor; a; b; ?; d" {
		t.Errorf("complaints: %q", got)
	}
	if got := complaints(strings.Repeat("x", 1000)); len(got) != 120 {
		t.Errorf("%d bytes of a line of 1000", len(got))
	}
}

func TestCheckOfWhatCannotBeReadSaysNothing(t *testing.T) {
	for _, kind := range []Type{Ext4, XFS} {
		if err := Check(context.Background(), "/nonexistent", kind); err != nil {
			t.Errorf("Check(%s) = %v; a device that cannot be opened is not a corrupt file system", kind, err)
		}
	}
}
