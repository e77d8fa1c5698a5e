// Package registration makes the kubelet of this node know a CSI driver, as the sidecar node-driver-registrar does for
// others: a Registrar serves the socket in which the kubelet finds out where the driver is, keeps it in place, and knows
// whether the kubelet took it.
//
// What the kubelet does is that of Kubernetes 1.37, pkg/kubelet/pluginmanager: it watches a folder, and asks every socket
// that appears in it (pluginwatcher). A socket that is made anew is deregistered and registered again; one that is removed
// is deregistered (reconciler), and the driver leaves the node's CSINode. The package therefore never removes the
// socket when it ends: the next agent of an upgrade puts its own in place.
package registration
