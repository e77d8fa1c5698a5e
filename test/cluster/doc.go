// Command cluster runs a whole Kubernetes on this machine, for tests: a control plane of ordinary processes, and nodes that
// are guests (test/guest) with a kernel, containerd and a kubelet of their own, and real device-mapper. All of it is in one
// network namespace without a way out; its API server is reached from outside through a port on the loopback interface.
//
//	cluster -- COMMAND…   a cluster for as long as the command runs, with KUBECONFIG set
//	cluster node …        what a guest runs; not for people
//
// main.go reads the flags. Parts: network.go (the namespace), pki.go (who is who), control.go (the control plane), boot.go
// (starting a node), node.go (what a node does, inside the guest), containers.go (its containerd), kubelet.go, images.go,
// install.go (Loam and what it needs, as a user installs them). Everything that runs ends with this process.
package main
