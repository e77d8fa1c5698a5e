package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// component is a program of the control plane.
type component struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// controlPlane runs etcd, kube-apiserver, kube-controller-manager and kube-scheduler; and for pods that name it a second kube-scheduler,
// which asks Loam's extender.
type controlPlane struct {
	hyperkube string
	loam      string // the binary
	dir       string // logs and data
	net       *namespace
	pki       *pki
	parts     map[string]*component
}

// order is that of starting.
var order = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", extenderPart, secondScheduler}

const (
	extenderPart    = "loam-scheduler-extender"
	extenderAddress = "127.0.0.1:9756"
	// secondScheduler is also the schedulerName of the pods that it places.
	secondScheduler = "loam-scheduler"
	schedulerConfig = `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %s}
profiles: [{schedulerName: ` + secondScheduler + `}]
extenders:
- urlPrefix: http://` + extenderAddress + `
  filterVerb: filter
  prioritizeVerb: prioritize
  weight: 1
  httpTimeout: 2s
  nodeCacheCapable: true
  ignorable: true
`
)

// auditPolicy has what Loam asks of the API written down, for figures.
const (
	auditPolicyFile = "audit-policy.yaml"
	auditPolicy     = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:` + namespaceOfLoam + `"]
- level: None
`
)

func startControlPlane(ctx context.Context, hyperkube, loam, dir string, n *namespace, p *pki) (*controlPlane, error) {
	c := &controlPlane{hyperkube: hyperkube, loam: loam, dir: dir, net: n, pki: p, parts: map[string]*component{}}
	if err := c.identities(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, auditPolicyFile), []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(schedulerConfig, p.path("kube-scheduler.kubeconfig"))
	if err := os.WriteFile(filepath.Join(dir, secondScheduler+".yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	for _, name := range order {
		if err := c.start(name); err != nil {
			return c, err
		}
		if name == "kube-apiserver" {
			if err := c.ready(ctx); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// identities issues what the components prove themselves with.
func (c *controlPlane) identities() error {
	server := gateway + ":" + apiPort
	for _, who := range []struct {
		name, user string
		groups     []string
	}{
		{"kubelet-client", "kube-apiserver-kubelet-client", []string{"system:masters"}},
		{"kube-controller-manager", "system:kube-controller-manager", nil},
		{"kube-scheduler", "system:kube-scheduler", nil},
		{"admin", "admin", []string{"system:masters"}},
	} {
		if err := c.pki.issue(who.name, who.user, who.groups); err != nil {
			return err
		}
		if _, err := c.pki.kubeconfig(who.name, who.name, server); err != nil {
			return err
		}
	}
	return c.pki.issue("apiserver", "kube-apiserver", nil, gateway, apiServiceIP, "127.0.0.1",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc")
}

// args are a component's flags.
func (c *controlPlane) args(name string) []string {
	key := c.pki.path
	switch name {
	case "etcd":
		return []string{"--data-dir", filepath.Join(c.dir, "etcd")}
	case "kube-apiserver":
		return []string{
			"--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--secure-port=" + apiPort, "--advertise-address=" + gateway,
			"--endpoint-reconciler-type=none", "--tls-cert-file=" + key("apiserver.crt"), "--tls-private-key-file=" + key("apiserver.key"),
			"--client-ca-file=" + key("ca.crt"), "--service-account-key-file=" + key("sa.key"),
			"--service-account-signing-key-file=" + key("sa.key"), "--service-account-issuer=https://kubernetes.default.svc",
			"--service-cluster-ip-range=" + serviceRange, "--authorization-mode=Node,RBAC", "--allow-privileged=true",
			"--kubelet-client-certificate=" + key("kubelet-client.crt"), "--kubelet-client-key=" + key("kubelet-client.key"),
			"--kubelet-certificate-authority=" + key("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--enable-admission-plugins=NodeRestriction", "--profiling=false",
			"--audit-policy-file=" + filepath.Join(c.dir, auditPolicyFile), "--audit-log-path=" + filepath.Join(c.dir, "audit.log"),
		}
	case "kube-controller-manager":
		return []string{
			"--kubeconfig=" + key(name+".kubeconfig"), "--bind-address=127.0.0.1", "--leader-elect=false",
			"--service-account-private-key-file=" + key("sa.key"), "--root-ca-file=" + key("ca.crt"), "--use-service-account-credentials=true",
			"--authentication-kubeconfig=" + key(name+".kubeconfig"), "--authorization-kubeconfig=" + key(name+".kubeconfig"),
			"--node-monitor-grace-period=20s",
		}
	case "kube-scheduler":
		return []string{
			"--kubeconfig=" + key(name+".kubeconfig"), "--bind-address=127.0.0.1", "--leader-elect=false",
			"--authentication-kubeconfig=" + key(name+".kubeconfig"), "--authorization-kubeconfig=" + key(name+".kubeconfig"),
		}
	case secondScheduler:
		return []string{
			"--config=" + filepath.Join(c.dir, secondScheduler+".yaml"), "--bind-address=127.0.0.1", "--secure-port=10359",
			"--authentication-kubeconfig=" + key("kube-scheduler.kubeconfig"), "--authorization-kubeconfig=" + key("kube-scheduler.kubeconfig"),
		}
	case extenderPart:
		return []string{
			"--kubeconfig=" + key("admin.kubeconfig"), "--namespace=" + namespaceOfLoam, "--address=" + extenderAddress, "--health-address=",
		}
	}
	return nil
}

// program is what runs as a component, and how it is told which.
func (c *controlPlane) program(name string) (path, command string) {
	switch name {
	case extenderPart:
		return c.loam, "scheduler-extender"
	case secondScheduler:
		return c.hyperkube, "kube-scheduler"
	}
	return c.hyperkube, name
}

// start starts a component, which writes a log beside its data.
func (c *controlPlane) start(name string) error {
	log, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	part := &component{name: name, done: make(chan struct{})}
	path, command := c.program(name)
	part.cmd = exec.Command(path, append([]string{command}, c.args(name)...)...)
	part.cmd.Stdout, part.cmd.Stderr = log, log
	if err := c.net.start(part.cmd); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = part.cmd.Wait(); close(part.done) }()
	c.parts[name] = part
	return nil
}

// stop ends a component: kindly, and after some seconds not.
func (c *controlPlane) stop(name string) {
	part, ok := c.parts[name]
	if !ok {
		return
	}
	delete(c.parts, name)
	_ = part.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-part.done:
	case <-time.After(5 * time.Second):
		_ = part.cmd.Process.Kill()
		<-part.done
	}
}

func (c *controlPlane) stopAll() {
	for i := range order {
		c.stop(order[len(order)-1-i])
	}
}

// ready waits until the API server says that it is.
func (c *controlPlane) ready(ctx context.Context) error {
	authority := x509.NewCertPool()
	authority.AddCert(c.pki.certificate)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext:     func(_ context.Context, _, address string) (net.Conn, error) { return c.net.dial(address) },
		TLSClientConfig: &tls.Config{RootCAs: authority},
	}}
	defer client.CloseIdleConnections()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+gateway+":"+apiPort+"/readyz", nil)
		if err != nil {
			return err
		}
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.parts["kube-apiserver"].done:
			return errors.New("kube-apiserver ended; its log is " + filepath.Join(c.dir, "kube-apiserver.log"))
		case <-time.After(200 * time.Millisecond):
		}
	}
}
