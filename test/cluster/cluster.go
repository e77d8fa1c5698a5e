package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// options are the flags.
type options struct {
	nodes int
	disks []int64 // of each node, for pools; bytes
	args  []string
}

// cluster is one that runs.
type cluster struct {
	options
	root    string // of the module
	program string // this one
	cache   string // what outlives a cluster: binaries, images
	dir     string // what does not
	lock    *os.File
	end     context.CancelFunc // of the context that up returns

	net        *namespace
	pki        *pki
	kubeconfig string // for this side

	power    sync.Mutex // guards what is started and stopped
	control  *controlPlane
	machines []*machine
}

// up starts control plane and nodes. The context that it returns ends with the given one, or when the cluster shall.
func up(ctx context.Context, o options) (c *cluster, within context.Context, err error) {
	if os.Geteuid() != 0 {
		return nil, nil, errNotRoot
	}
	c = &cluster{options: o}
	if c.program, err = os.Executable(); err != nil {
		return nil, nil, err
	}
	if c.root, c.cache, err = places(); err != nil {
		return nil, nil, err
	}
	if err := sweep(os.TempDir()); err != nil {
		return nil, nil, err
	}
	if c.dir, c.lock, err = newFolder(os.TempDir()); err != nil {
		return nil, nil, err
	}
	ctx, c.end = context.WithCancel(ctx)
	begun := c // what is returned with an error is nil
	defer func() {
		if err != nil {
			begun.down()
		}
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"programs and images", c.prepare}, {"control plane", c.startControl}, {"nodes", c.startNodes}, {"nodes ready", c.nodesReady}, {"Loam", c.install},
	} {
		started := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", step.name, err)
		}
		say("%s: %.1f s", step.name, time.Since(started).Seconds())
	}
	return c, ctx, nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "cluster: "+format+"\n", args...) }

func (c *cluster) startControl(ctx context.Context) (err error) {
	if c.net, err = newNamespace(ctx, c.nodes); err != nil {
		return err
	}
	if c.pki, err = newPKI(filepath.Join(c.dir, "pki")); err != nil {
		return err
	}
	if c.control, err = startControlPlane(ctx, filepath.Join(c.cache, "hyperkube"), filepath.Join(c.root, "bin", "loam"), c.dir, c.net, c.pki); err != nil {
		return err
	}
	address, err := c.net.expose(ctx, gateway+":"+apiPort)
	if err != nil {
		return err
	}
	c.kubeconfig, err = c.pki.kubeconfig("outside", "admin", address)
	return err
}

func (c *cluster) startNodes(ctx context.Context) error {
	for i := 1; i <= c.nodes; i++ {
		m, err := c.newMachine(ctx, i)
		if err != nil {
			return err
		}
		if err := m.boot(); err != nil {
			return err
		}
		c.machines = append(c.machines, m)
	}
	return nil
}

// nodesReady waits until every node says that it is.
func (c *cluster) nodesReady(ctx context.Context) error {
	for _, m := range c.machines {
		for !c.isReady(ctx, m.name) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-m.done:
				return m.ended(ctx)
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil
}

func (c *cluster) isReady(ctx context.Context, node string) bool {
	out, err := c.kubectl(ctx, "get", "node", node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	return err == nil && out == "True"
}

// kubectl runs it as the cluster's administrator and returns what it prints.
func (c *cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.cache, "hyperkube"), append([]string{"kubectl", "--kubeconfig", c.kubeconfig}, args...)...)
	var complaint errorText
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %v: %w: %s", args, err, complaint)
	}
	return string(out), nil
}

type errorText []byte

func (t *errorText) Write(p []byte) (int, error) { *t = append(*t, p...); return len(p), nil }

// down ends all that runs and removes its files, within a minute.
func (c *cluster) down() {
	c.end()
	defer c.lock.Close() // the last thing: who waits for the cluster's end waits for this
	c.power.Lock()
	defer c.power.Unlock()
	var all sync.WaitGroup
	for _, m := range c.machines {
		all.Go(m.kill)
	}
	all.Wait()
	if c.control != nil {
		c.control.stopAll()
	}
	if os.Getenv("LOAM_KEEP") != "" {
		say("logs are in %s", c.dir)
		return
	}
	if err := os.RemoveAll(c.dir); err != nil {
		say("%v", err)
	}
}

// places are the root of the product's module, and the folder for what outlives a cluster.
func places() (root, cache string, err error) {
	root, err = moduleRoot()
	return root, filepath.Join(root, ".cache", "cluster"), err
}

// moduleRoot is the folder of the product's module, at or above the present one.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "test", "cluster", "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this within Loam's repository")
		}
	}
}
