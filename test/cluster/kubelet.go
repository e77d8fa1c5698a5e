package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[2]s/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
tlsCertFile: %[2]s/%[3]s.crt
tlsPrivateKeyFile: %[2]s/%[3]s.key
failSwapOn: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 10Mi, nodefs.available: 0%%, imagefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.inodesFree: 0%%}
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
resolvConf: ""
maxPods: 60
`

// restartFile, made in a node's share, has its kubelet restarted; it is gone once the kubelet is.
const restartFile = "restart-kubelet"

// kubelet runs it, and again when it is told to, until the context ends.
func (n node) kubelet(ctx context.Context) error {
	config := fmt.Sprintf(kubeletConfig, nodeAddress(n.number), filepath.Join(n.dir, "pki"), n.name)
	if err := os.WriteFile("/run/kubelet.yaml", []byte(config), 0o600); err != nil {
		return err
	}
	for ctx.Err() == nil {
		cmd, err := n.daemon("kubelet", filepath.Join(n.cache, "hyperkube"), "kubelet", "--config=/run/kubelet.yaml",
			"--kubeconfig="+filepath.Join(n.dir, "pki", n.name+".kubeconfig"), "--hostname-override="+n.name,
			"--node-ip="+nodeAddress(n.number), "--root-dir=/var/lib/kubelet", "--v=2")
		if err != nil {
			return err
		}
		fmt.Println("kubelet started")
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if err := n.untilTold(ctx, ended); err != nil {
			return err
		}
		_ = cmd.Process.Kill()
		<-ended
		if err := os.Remove(filepath.Join(n.share(), restartFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// untilTold waits until the kubelet is to be restarted.
func (n node) untilTold(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return fmt.Errorf("kubelet ended: %w", err)
		case <-tick.C:
			if _, err := os.Stat(filepath.Join(n.share(), restartFile)); err == nil {
				return nil
			}
		}
	}
}
