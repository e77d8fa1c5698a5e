package faults

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/loam-storage/loam/node"
	"github.com/loam-storage/loam/node/admin"
)

// lvmEnv makes an agent of this program, with that LVM: the real agent knows only the installed one.
const lvmEnv = "LOAM_TEST_LVM"

func TestMain(m *testing.M) {
	if lvm := os.Getenv(lvmEnv); lvm != "" && len(os.Args) > 1 && os.Args[1] == "agent" {
		if err := serve(lvm, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is `loam agent` with the flags that package nodetest gives it.
func serve(lvm string, args []string) error {
	o := node.Options{LVM: lvm, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	flags := flag.NewFlagSet("agent", flag.ContinueOnError)
	flags.BoolVar(&o.Kubernetes, "kubernetes", false, "")
	flags.StringVar(&o.ConfigPath, "config", "", "")
	flags.StringVar(&o.NodeID, "node-id", "", "")
	flags.StringVar(&o.Socket, "socket", "", "")
	flags.StringVar(&o.KubeletDir, "kubelet-dir", "", "")
	flags.StringVar(&o.StateDir, "state-dir", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.AdminSocket = admin.SocketBeside(o.Socket)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	return node.Run(ctx, o)
}
