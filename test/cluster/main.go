package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const help = `Run a command with a Kubernetes cluster of its own, with Loam installed on it.

Usage:
  cluster [FLAGS] -- COMMAND [ARGUMENT...]

KUBECONFIG names the cluster's administrator; kubectl is in the PATH. The cluster ends with the command.

Flags:
  --nodes=N           how many nodes (default 2): guests of test/guest, k1, k2, …
  --disks=[COUNTx]SIZE  blank disks of each node (default 1x6G)

LOAM_KEEP=1 keeps the logs.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	status, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	os.Exit(status)
}

func run(ctx context.Context, args []string) (int, error) {
	if len(args) > 0 && args[0] == "node" {
		return 1, runNode(ctx, args[1:])
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(help)
		return 0, nil
	}
	if err != nil {
		return 2, err
	}
	if os.Geteuid() != 0 {
		return 2, errNotRoot
	}
	c, err := up(ctx, o)
	if err != nil {
		return 1, err
	}
	defer c.down()
	return c.command(ctx)
}

func parse(args []string) (options, error) {
	o := options{nodes: 2, disks: []int64{6 << 30}}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.Usage = func() {}
	flags.IntVar(&o.nodes, "nodes", o.nodes, "")
	flags.Func("disks", "", func(s string) (err error) { o.disks, err = parseDisks(s); return err })
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.args = flags.Args(); len(o.args) == 0 {
		return o, errors.New("no command to run; --help shows how to use it")
	}
	if o.nodes < 1 || o.nodes > 9 {
		return o, fmt.Errorf("--nodes is %d; 1 to 9 were expected", o.nodes)
	}
	return o, nil
}

// parseDisks reads [COUNTx]SIZE, sizes in whole gibibytes.
func parseDisks(s string) ([]int64, error) {
	count, size, found := strings.Cut(s, "x")
	if !found {
		count, size = "1", s
	}
	n, err := strconv.Atoi(count)
	gib, err2 := strconv.ParseInt(strings.TrimSuffix(size, "G"), 10, 32)
	if err != nil || err2 != nil || n < 1 || gib < 1 || !strings.HasSuffix(size, "G") {
		return nil, fmt.Errorf("%q is not [COUNTx]SIZE, as in 2x4G", s)
	}
	disks := make([]int64, n)
	for i := range disks {
		disks[i] = gib << 30
	}
	return disks, nil
}

// command runs what the cluster was started for, with its exit status.
func (c *cluster) command(ctx context.Context) (int, error) {
	if err := c.serveLevers(ctx); err != nil {
		return 1, err
	}
	tools := filepath.Join(c.dir, "bin")
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return 1, err
	}
	if err := os.Symlink(filepath.Join(c.cache, "hyperkube"), filepath.Join(tools, "kubectl")); err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+tools+":"+os.Getenv("PATH"), "LOAM_CLUSTER="+c.dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() >= 0 {
		return ended.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
