package filesystem

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"github.com/loam-storage/loam/lvm"
	"github.com/loam-storage/loam/lvm/lvmtest"
)

func TestZeroLeavesNothingAndKeepsTheSize(t *testing.T) {
	lvmtest.Anywhere(t)
	for _, size := range []lvm.Bytes{0, 1, 4096, wipeStep - 1, wipeStep, wipeStep + 512} {
		path := image(t, size)
		if err := os.WriteFile(path, bytes.Repeat([]byte{0xa5}, int(size)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Zero(context.Background(), path); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != int(size) || bytes.Count(got, []byte{0}) != len(got) {
			t.Errorf("%v: %d bytes left, %v, or not all of them zero", size, len(got), err)
		}
	}
}

func TestZeroEndsWithItsContext(t *testing.T) {
	path := image(t, 4096)
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xa5}, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Zero(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Zero = %v; want the context's error", err)
	}
	if got, err := os.ReadFile(path); err != nil || got[0] != 0xa5 {
		t.Errorf("wrote after the end: %v", err)
	}
}

func TestWipingWhatIsNotThereIsAnError(t *testing.T) {
	for _, wipe := range []func(context.Context, string) error{Zero, Discard} {
		if err := wipe(context.Background(), "/nonexistent"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("wiped: %v", err)
		}
	}
}
