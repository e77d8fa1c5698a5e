package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node"
	"github.com/loam-storage/loam/node/admin"
)

// kubeletDir is the kubelet's folder unless it was told of another (kubelet --root-dir).
const kubeletDir = "/var/lib/kubelet"

// agentOptions are the flags of `loam agent` that are not the node's as they stand.
type agentOptions struct {
	node       node.Options
	kubeconfig string
	logFormat  choice
	logLevel   choice
}

func (a *app) agentCommand() *cobra.Command {
	o := agentOptions{
		logFormat: choice{value: "text", allowed: []string{"text", "json"}},
		logLevel:  choice{value: "info", allowed: []string{"debug", "info", "warn", "error"}},
	}
	cmd := &cobra.Command{
		Use: "agent", Short: "Run this node's agent: its CSI driver, and the keeper of its disks and pools",
		Long: `Runs the agent of this node until it is told to stop (SIGINT, SIGTERM); what it is at then, it
finishes. A second signal ends it at once, but not the LVM command that it may have started.

It serves CSI on a unix socket, and the other commands of loam on admin.sock beside it.
Disks are taken and pools made as the configuration says, also when that changes. It must
run as root.

With --kubernetes it registers with this node's kubelet, and publishes what its pools can
still give as CSIStorageCapacity objects in POD_NAMESPACE. Unless told otherwise, it then has
the name in NODE_NAME (both from the downward API), and serves CSI on
plugins/loam.storage/csi.sock below the kubelet's directory. With --listen it serves
` + "`loam controller`" + ` as well.`,
		Example: "  loam agent --config /etc/loam/config.yaml",
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runAgent(cmd.Context(), o, cmd.Flags().Changed("socket"))
		},
	}
	a.agentFlags(cmd, &o)
	return cmd
}

func (a *app) agentFlags(cmd *cobra.Command, o *agentOptions) {
	f := cmd.Flags()
	f.StringVar(&o.node.ConfigPath, "config", a.env("LOAM_CONFIG", "/etc/loam/config.yaml"), "configuration `FILE` ($LOAM_CONFIG)")
	f.StringVar(&o.node.NodeID, "node-id", a.env("LOAM_NODE_ID", ""), "`NAME` of this node ($LOAM_NODE_ID) (default: the host's)")
	f.BoolVar(&o.node.Kubernetes, "kubernetes", a.getenv("KUBERNETES_SERVICE_HOST") != "",
		"serve this node's kubelet; the default in a pod, where --kubernetes=false undoes it")
	f.StringVar(&o.node.KubeletDir, "kubelet-dir", a.env("LOAM_KUBELET_DIR", ""),
		"mount only beneath this `DIRECTORY` ($LOAM_KUBELET_DIR) (default: \"/\", with --kubernetes \""+kubeletDir+"\")")
	f.StringVar(&o.node.HealthAddress, "health-address", a.env("LOAM_HEALTH_ADDRESS", ""),
		"`HOST:PORT` for /healthz, /readyz and /metrics over HTTP ($LOAM_HEALTH_ADDRESS) (default: none)")
	f.StringVar(&o.node.Listen, "listen", a.env("LOAM_LISTEN", ""),
		"`HOST:PORT` at which `loam controller` is served CSI, by mTLS ($LOAM_LISTEN) (default: none)")
	f.StringVar(&o.node.TLSDir, "tls-dir", a.env("LOAM_TLS_DIR", "/etc/loam/tls"),
		"`DIRECTORY` with tls.crt, tls.key and ca.crt for --listen ($LOAM_TLS_DIR); they may come and change later")
	f.StringVar(&o.kubeconfig, "kubeconfig", a.env("KUBECONFIG", ""),
		"`FILE` that says how to reach Kubernetes ($KUBECONFIG) (default: as the pod it runs in)")
	f.StringVar(&o.node.StateDir, "state-dir", a.env("LOAM_STATE_DIR", "/var/lib/loam"), "`DIRECTORY` for the agent's own files ($LOAM_STATE_DIR)")
	f.Var(&o.logFormat, "log-format", "how to write the log")
	f.Var(&o.logLevel, "log-level", "what to write of it")
	for name, c := range map[string]*choice{"log-format": &o.logFormat, "log-level": &o.logLevel} {
		must(cmd.RegisterFlagCompletionFunc(name, c.complete))
	}
}

func (a *app) env(key, fallback string) string { return cmp.Or(a.getenv(key), fallback) }

// runAgent serves until the context ends.
func (a *app) runAgent(ctx context.Context, o agentOptions, socketGiven bool) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // it is on every node and mostly idle: 8 MB less, and no work to speak of
	}
	if runtime.GOMAXPROCS(0) == 1 {
		runtime.GOMAXPROCS(2) // else each ioctl of more than 20 µs costs a switch of threads, which is more than the ioctl
	}
	options, err := a.nodeOptions(o, socketGiven)
	if err != nil {
		return err
	}
	if options.Kubernetes {
		if options.Client, err = kubernetesClient(o.kubeconfig, "loam-agent", options.Log); err != nil {
			return refuse("agent: %w", err)
		}
	}
	if err := node.Run(ctx, options); err != nil {
		return refuse("agent: %w", err)
	}
	return nil
}

// nodeOptions completes what the flags say.
func (a *app) nodeOptions(o agentOptions, socketGiven bool) (n node.Options, err error) {
	n = o.node
	n.Log = newLog(a.stderr, o)
	if n.KubeletDir == "" {
		n.KubeletDir = "/"
		if n.Kubernetes {
			n.KubeletDir = kubeletDir
		}
	}
	if n.Socket, err = a.agentSocket(n, socketGiven); err != nil {
		return n, err
	}
	n.AdminSocket = admin.SocketBeside(n.Socket)
	n.NodeID, err = a.nodeID(n)
	n.NodeName, n.Namespace = cmp.Or(a.getenv("NODE_NAME"), n.NodeID), a.env("POD_NAMESPACE", "loam-system")
	return n, err
}

// agentSocket is where to serve CSI. It may also come from the CSI orchestrator (CSI spec, "Configuration and Operation":
// CSI_ENDPOINT), where nobody said it more plainly.
func (a *app) agentSocket(n node.Options, given bool) (string, error) {
	if given || a.getenv("LOAM_SOCKET") != "" {
		return a.socket, nil
	}
	if endpoint := a.getenv("CSI_ENDPOINT"); endpoint != "" {
		path, ok := strings.CutPrefix(endpoint, "unix://")
		if !ok || !strings.HasPrefix(path, "/") {
			return "", usage("CSI_ENDPOINT is %q, and only unix:///PATH is served", endpoint)
		}
		return path, nil
	}
	if n.Kubernetes {
		return filepath.Join(n.KubeletDir, "plugins", node.Driver, "csi.sock"), nil
	}
	return a.socket, nil
}

// nodeID names the node. In a pod the host's name is the pod's, which is another one after each restart.
func (a *app) nodeID(n node.Options) (string, error) {
	switch {
	case n.NodeID != "":
		return n.NodeID, nil
	case n.Kubernetes && a.getenv("NODE_NAME") == "":
		return "", usage("with --kubernetes, NODE_NAME (spec.nodeName, from the downward API) or --node-id must name the node")
	case n.Kubernetes:
		return a.getenv("NODE_NAME"), nil
	}
	hostname, err := os.Hostname()
	if err != nil {
		return "", refuse("this host has no name: give the node one with --node-id (%w)", err)
	}
	return hostname, nil
}

func newLog(w io.Writer, o agentOptions) *slog.Logger {
	var level slog.Level
	must(level.UnmarshalText([]byte(o.logLevel.value))) // the flag takes no other words
	options := &slog.HandlerOptions{Level: level}
	if o.logFormat.value == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
