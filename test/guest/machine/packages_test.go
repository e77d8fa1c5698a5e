package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAptGetIsLetFinish(t *testing.T) {
	folder := t.TempDir()
	script := "#!/bin/sh\necho begun\ntouch " + folder + "/begun\nsleep 0.5\ntouch " + folder + "/finished\necho because >&2\nexit 100\n"
	if err := os.WriteFile(filepath.Join(folder, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for _, err := os.Stat(folder + "/begun"); err != nil; _, err = os.Stat(folder + "/begun") {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := aptGet(ctx, "install", "lvm2")
	if _, missing := os.Stat(folder + "/finished"); missing != nil {
		t.Errorf("apt-get was ended on its way: %v", missing)
	}
	if err == nil || !strings.Contains(err.Error(), "apt-get install lvm2: exit status 100\nbegun\nbecause") {
		t.Errorf("%v; want what was run, its exit status and what it printed", err)
	}
	if err := aptGet(ctx, "update"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want nothing begun after the end", err)
	}
}
