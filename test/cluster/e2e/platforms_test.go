package e2e

import (
	"fmt"
	"testing"
)

// TestCommandsForDistributionsAreAccepted types what docs/platforms.md has for OpenShift and k3s, and asks who may use which constraints.
func TestCommandsForDistributionsAreAccepted(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.kubectl("label", "namespace", b.namespace, "pod-security.kubernetes.io/enforce=privileged", "security.openshift.io/scc.podSecurityLabelSync=false", "--overwrite")
	b.kubectl("--namespace", install, "apply", "-f", "../../../deploy/examples/openshift.yaml")
	t.Cleanup(func() { b.kubectl("--namespace", install, "delete", "-f", "../../../deploy/examples/openshift.yaml") })
	for account, constraints := range map[string]string{"loam-agent": "privileged", "loam-controller": "nonroot-v2", "loam-scheduler-extender": "nonroot-v2"} {
		for _, one := range []string{"privileged", "nonroot-v2", "anyuid"} {
			review := b.file(fmt.Sprintf(`apiVersion: authorization.k8s.io/v1
kind: SubjectAccessReview
spec:
  user: system:serviceaccount:%s:%s
  resourceAttributes: {namespace: %[1]s, verb: use, group: security.openshift.io, resource: securitycontextconstraints, name: %[3]s}
`, install, account, one)) // kubectl auth can-i asks for no group that is not on the cluster
			may := b.kubectl("--namespace", install, "create", "-f", review, "-o", "jsonpath={.status.allowed}")
			if (may == "true") != (one == constraints) {
				b.Errorf("may %s use %s? %q", account, one, may)
			}
		}
	}

	b.apply(`apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-path}
provisioner: rancher.io/local-path
`)
	t.Cleanup(func() { b.kubectl("delete", "storageclass", "local-path") })
	b.kubectl("patch", "storageclass", "local-path", "--patch", `{"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "false"}}}`)
	b.field("storageclass/local-path", `.metadata.annotations.storageclass\.kubernetes\.io/is-default-class`, "false")
}
