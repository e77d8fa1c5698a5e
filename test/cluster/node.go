package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// node is what a guest runs to be a node. Its root is the host's files with an overlay in memory.
type node struct {
	name       string
	number     int
	dir, cache string // of the cluster, on the host
}

func runNode(ctx context.Context, args []string) error {
	n, _, err := parseNode(args)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"identity", n.identity}, {"control groups", n.controlGroups}, {"processor", n.processor}, {"network", n.network},
		{"state", n.state}, {"containerd", n.containerd},
	} {
		started := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%s: %.1f s\n", step.name, time.Since(started).Seconds())
	}
	return n.kubelet(ctx)
}

func runUnpacker(ctx context.Context, args []string) error {
	n, files, err := parseNode(args)
	if err != nil {
		return err
	}
	return n.unpack(ctx, files)
}

func parseNode(args []string) (n node, more []string, err error) {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.StringVar(&n.name, "name", "", "")
	flags.IntVar(&n.number, "number", 0, "")
	flags.StringVar(&n.dir, "dir", "", "")
	flags.StringVar(&n.cache, "cache", "", "")
	err = flags.Parse(args)
	return n, flags.Args(), err
}

// identity gives the node its name.
func (n node) identity(context.Context) error {
	if err := unix.Sethostname([]byte(n.name)); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost "+n.name+"\n"), 0o644); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") // what pods mount must spread
}

// controlGroups mounts cgroup2 and gives all controllers on. Whoever is in the root has to leave it first.
func (n node) controlGroups(context.Context) error {
	const root = "/sys/fs/cgroup"
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(root, "init"), 0o755); err != nil {
		return err
	}
	for _, pid := range []int{1, os.Getpid()} {
		if err := os.WriteFile(filepath.Join(root, "init", "cgroup.procs"), fmt.Append(nil, pid), 0); err != nil {
			return err
		}
	}
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(controllers)) {
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+c), 0); err != nil {
			return fmt.Errorf("controller %s: %w", c, err)
		}
	}
	// The kubelet gives all pods together a weight by the number of processors. One processor's is less than that of the kubelet and
	// containerd, which would take most of the time from a busy node's agent; this is the share that pods have where there are ten.
	return os.WriteFile(filepath.Join(root, "init", "cpu.weight"), []byte("10"), 0)
}

// processor tells of a frequency, which User Mode Linux does not, and without which the kubelet's cadvisor ends.
func (n node) processor(context.Context) error {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil || bytes.Contains(info, []byte("cpu MHz")) {
		return err
	}
	info = bytes.Replace(info, []byte("bogomips"), []byte("cpu MHz\t\t: 2000.000\nbogomips"), 1)
	if err := os.WriteFile("/run/cpuinfo", info, 0o444); err != nil {
		return err
	}
	return unix.Mount("/run/cpuinfo", "/proc/cpuinfo", "", unix.MS_BIND, "")
}

// network brings the tap up. Pods' interfaces are pairs of veth.
func (n node) network(ctx context.Context) error {
	return runAll(ctx, [][]string{
		{"modprobe", "veth"},
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "set", "vec0", "up"},
		{"ip", "addr", "add", nodeAddress(n.number) + "/24", "dev", "vec0"},
		{"ip", "route", "add", "default", "via", gateway},
		{"sysctl", "-qw", "net.ipv4.ip_forward=1"},
	})
}

// kept are the folders whose contents survive a reboot, on the state disk. CNI's are not among them: its plugins do not flush
// what they write, a power cut leaves empty files, and over one of those a pod is never stopped. No pod's network survives.
var kept = []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/loam", "/var/log/pods"}

// state mounts the first disk.
func (n node) state(ctx context.Context) error {
	disk, _, _ := strings.Cut(os.Getenv("LOAM_DISKS"), ",")
	if exec.CommandContext(ctx, "blkid", disk).Run() != nil { // nothing on it
		if err := runAll(ctx, [][]string{{"mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", disk}}); err != nil {
			return err
		}
	}
	if err := os.MkdirAll("/state", 0o755); err != nil {
		return err
	}
	if err := unix.Mount(disk, "/state", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", disk, err)
	}
	for _, folder := range kept {
		on := filepath.Join("/state", folder)
		if err := errors.Join(os.MkdirAll(on, 0o755), os.MkdirAll(folder, 0o755)); err != nil {
			return err
		}
		if err := unix.Mount(on, folder, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		if err := unix.Mount("", folder, "", unix.MS_SHARED, ""); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs programs one after another until one fails.
func runAll(ctx context.Context, commands [][]string) error {
	for _, c := range commands {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", c, err, out)
		}
	}
	return nil
}
