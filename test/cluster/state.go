package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stateDiskSize is that of each node's first disk: for containerd, the kubelet and the agent's state.
const stateDiskSize = 8 << 30

// stateImage is what nodes' first disks begin as: a file system with all images in containerd, unpacked and on the disk.
// Unpacking takes a node half a minute; and containerd 1.6 flushes nothing of it, so that after a power cut a node that had
// unpacked for itself would run empty files.
func (c *cluster) stateImage() string { return filepath.Join(c.cache, "state.img") }

// prepareState has a guest unpack the images that are newer than what it has.
func (c *cluster) prepareState(ctx context.Context) error {
	all, err := filepath.Glob(filepath.Join(c.cache, "images", "*.tar"))
	if err != nil {
		return err
	}
	var fresh []string
	for _, tar := range all {
		if !newer(c.stateImage(), tar) {
			fresh = append(fresh, tar)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	say("unpacking %d images for the nodes", len(fresh))
	work := c.stateImage() + ".new"
	if err := c.copyState(ctx, work); err != nil {
		return err
	}
	n := node{name: "unpacking", dir: c.dir}
	if err := os.MkdirAll(n.share(), 0o755); err != nil {
		return err
	}
	args := append([]string{"--kernel=uml", "--memory=" + nodeMemory, "--timeout=10m", "--writable=" + n.share(), "--disk-image=" + work,
		"--", c.program, "be-unpacker", "--name=" + n.name, "--dir=" + n.dir}, fresh...)
	if out, err := exec.CommandContext(ctx, filepath.Join(c.root, "bin", "guest"), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Rename(work, c.stateImage())
}

// copyState makes a first disk of its own for a node: of what there is unpacked, or blank.
func (c *cluster) copyState(ctx context.Context, to string) error {
	from := c.stateImage()
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return makeDisk(to, stateDiskSize)
	}
	return runAll(ctx, [][]string{{"cp", "--sparse=always", "--reflink=auto", "--", from, to}})
}

func makeDisk(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// unpack is what a guest does that makes the state image, and no node.
func (n node) unpack(ctx context.Context, files []string) error {
	for _, step := range []func(context.Context) error{n.controlGroups, n.state, n.containerd} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := runAll(ctx, [][]string{{"ctr", "--namespace", "k8s.io", "images", "import", f}}); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}
