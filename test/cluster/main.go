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
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const help = `Run a command with a Kubernetes cluster of its own, with Loam installed on it.

Usage:
  cluster [FLAGS] -- COMMAND [ARGUMENT...]
  cluster up [FLAGS]                a cluster that stays, in the background
  cluster down                      end it
  cluster node reboot|off|on|restart-kubelet NODE
  cluster apiserver stop|start

KUBECONFIG names the cluster's administrator; kubectl is in the PATH. The cluster ends with the command. A node that is
switched off loses what it had not written to its disks, as in a power cut, and keeps these.

Flags:
  --nodes=N                 how many nodes (default 2): guests of test/guest, k1, k2, …
  --disks=[COUNTx]SIZE[,…]  blank disks of each node, as in 2x6G,1x100G (default 1x6G)

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
	if len(args) > 0 {
		if do, ok := commands[args[0]]; ok {
			if err := do(ctx, args); err != nil {
				return 1, err
			}
			return 0, nil
		}
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Print(help)
		return 0, nil
	}
	if err != nil {
		return 2, err
	}
	c, ctx, err := up(ctx, o)
	if err != nil {
		return 1, err
	}
	defer c.down()
	return c.command(ctx)
}

// commands are those that have a name, by it; with it as the first argument. The last three are not for people.
var commands = map[string]func(ctx context.Context, args []string) error{
	"up":          func(ctx context.Context, args []string) error { return upInBackground(ctx, args[1:]) },
	"down":        func(ctx context.Context, _ []string) error { return downInBackground(ctx) },
	"node":        pullForPeople,
	"apiserver":   pullForPeople,
	"hold":        func(ctx context.Context, args []string) error { return hold(ctx, args[1:]) },
	"be-node":     func(ctx context.Context, args []string) error { return runNode(ctx, args[1:]) },
	"be-unpacker": func(ctx context.Context, args []string) error { return runUnpacker(ctx, args[1:]) },
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

// parseDisks reads a list of [COUNTx]SIZE.
func parseDisks(s string) (all []int64, err error) {
	for _, part := range strings.Split(s, ",") {
		disks, err := parseSameDisks(part)
		if err != nil {
			return nil, err
		}
		all = append(all, disks...)
	}
	return all, nil
}

// parseSameDisks reads [COUNTx]SIZE, sizes in whole gibibytes.
func parseSameDisks(s string) ([]int64, error) {
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

// folderVariable names the cluster's folder for the command that it runs.
const folderVariable = "LOAM_CLUSTER"

// commandEnd is how long the command may take to end once it is told to, by SIGTERM.
const commandEnd = 10 * time.Second

// command runs what the cluster was started for, with its exit status.
func (c *cluster) command(ctx context.Context) (int, error) {
	if err := c.serveLevers(ctx); err != nil {
		return 1, err
	}
	tools := filepath.Join(c.dir, "bin")
	if err := c.tools(tools); err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = commandEnd
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+tools+":"+os.Getenv("PATH"), folderVariable+"="+c.dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	runtime.LockOSThread() // it is the thread whose death that signal tells of
	defer runtime.UnlockOSThread()
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

// tools makes a folder with kubectl in it.
func (c *cluster) tools(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := os.Symlink(filepath.Join(c.cache, "hyperkube"), filepath.Join(dir, "kubectl"))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}
