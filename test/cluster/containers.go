package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// pauseImage is what holds a pod's namespaces.
const pauseImage = "registry.k8s.io/pause:3.10"

const containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + pauseImage + `"
  disable_apparmor = true
  restrict_oom_score_adj = false
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "crun"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
  SystemdCgroup = false
  BinaryName = "/usr/bin/crun"
`

// cniConfig gives each pod a pair of veth and an address of the node's network.
const cniConfig = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`

// containerd starts it and waits until it answers.
func (n node) containerd(ctx context.Context) error {
	for path, text := range map[string]string{
		"/etc/containerd/config.toml":     containerdConfig,
		"/etc/cni/net.d/10-pods.conflist": fmt.Sprintf(cniConfig, podNetwork(n.number)),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd, err := n.daemon("containerd", "containerd", "--config", "/etc/containerd/config.toml")
	if err != nil {
		return err
	}
	go func() { // without it the node is none
		err := cmd.Wait()
		fmt.Println("containerd ended:", err)
		os.Exit(1)
	}()
	for {
		if exec.CommandContext(ctx, "ctr", "version").Run() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// daemon starts a program with its log in the node's share.
func (n node) daemon(name, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(n.share(), name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, cmd.Start()
}

// share is a folder that the guest and the host both see.
func (n node) share() string { return filepath.Join(n.dir, n.name) }
