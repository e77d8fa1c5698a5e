// Command demo shows Loam's main job on real LVM: from blank disks to a volume that is mounted, grown while it is
// written to, snapshotted and restored, and back to free space, with the commands that a person would type. It runs as
// root in a guest of test/guest with two blank disks and a third one, on which it first puts someone's data; each step
// is checked, and the first that goes wrong ends it. `make demo` runs it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/loam-storage/loam/node/admin"
)

// socket is where loam agent serves unless told otherwise.
const socket = "/run/loam/csi.sock"

func main() {
	loam := flag.String("loam", "bin/loam", "`PATH` of the loam binary")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *loam, newScreen(os.Stdout))
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, loam string, s *screen) error {
	disks := strings.FieldsFunc(os.Getenv("LOAM_DISKS"), func(r rune) bool { return r == ',' })
	if len(disks) < 3 || os.Geteuid() != 0 {
		return errors.New("this takes root and three disks that may be written over, named in LOAM_DISKS: `make demo` brings them, in a machine of their own")
	}
	path, err := filepath.Abs(loam)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no loam binary: %w", err)
	}
	d := &demo{screen: s, loam: path, operator: admin.NewClient(admin.SocketBeside(socket)), blank: disks[:2], foreign: disks[2]}
	s.print("Loam from blank disks to a grown, snapshotted and restored volume, on real LVM (%s).", cmp.Or(os.Getenv("LOAM_GUEST"), "this machine"))
	return d.play(ctx, d.steps())
}
