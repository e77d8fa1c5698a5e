package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// nodeMemory is what containerd, a kubelet and some pods need, with room for the root's overlay.
const nodeMemory = "1800M"

// machine is a node, as this side sees it.
type machine struct {
	cluster *cluster
	number  int
	name    string
	disks   []string // images: the first is for containerd, the kubelet and the agent's state, the others are for pools
	cmd     *exec.Cmd
	done    chan struct{} // closed when the guest has ended
}

// newMachine makes a node's disks. Node 1 is k1.
func (c *cluster) newMachine(ctx context.Context, number int) (*machine, error) {
	m := &machine{cluster: c, number: number, name: fmt.Sprintf("k%d", number)}
	for i := range len(c.disks) + 1 {
		m.disks = append(m.disks, filepath.Join(c.dir, fmt.Sprintf("%s-%d.img", m.name, i)))
	}
	if err := c.copyState(ctx, m.disks[0]); err != nil {
		return nil, err
	}
	for i, size := range c.disks {
		if err := makeDisk(m.disks[i+1], size); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(m.share(), 0o755); err != nil {
		return nil, err
	}
	if err := c.pki.issue(m.name, "system:node:"+m.name, []string{"system:nodes"}, m.name, nodeAddress(number)); err != nil {
		return nil, err
	}
	_, err := c.pki.kubeconfig(m.name, m.name, gateway+":"+apiPort)
	return m, err
}

// share is a folder that the node's guest and this side both see: logs, and what the node is told.
func (m *machine) share() string { return filepath.Join(m.cluster.dir, m.name) }

// boot starts the node's guest.
func (m *machine) boot() error {
	log, err := os.OpenFile(filepath.Join(m.cluster.dir, m.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"--kernel=uml", "--memory=" + nodeMemory, "--timeout=0", "--tap=" + tap(m.number), "--writable=" + m.share()}
	for _, d := range m.disks {
		args = append(args, "--disk-image="+d)
	}
	args = append(args, "--", m.cluster.program, "be-node", "--name="+m.name, "--number="+strconv.Itoa(m.number),
		"--dir="+m.cluster.dir, "--cache="+m.cluster.cache)
	cmd, done := exec.Command(filepath.Join(m.cluster.root, "bin", "guest"), args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	if err := m.cluster.net.start(cmd); err != nil {
		return err
	}
	go func() { _ = cmd.Wait(); close(done) }()
	m.cmd, m.done = cmd, done
	return nil
}

// kill ends the guest as a power cut does, but for what its disks have been given already.
func (m *machine) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-m.done:
	case <-time.After(10 * time.Second):
		_ = m.cmd.Process.Kill()
		<-m.done
	}
}

// ended says that the guest is no more, with what it said last.
func (m *machine) ended(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-m.done:
		return fmt.Errorf("node %s has ended; its log is %s", m.name, filepath.Join(m.cluster.dir, m.name+".log"))
	}
}
