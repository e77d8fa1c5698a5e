package main

import (
	"context"
	"net"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/controller"
	"github.com/loam-storage/loam/node"
)

// controllerOptions are the flags of `loam controller` that are not the router's as they stand.
type controllerOptions struct {
	router     controller.Options
	kubeconfig string
	log        agentOptions // of which only the log's
}

func (a *app) controllerCommand() *cobra.Command {
	o := controllerOptions{log: agentOptions{
		logFormat: choice{value: "text", allowed: []string{"text", "json"}},
		logLevel:  choice{value: "info", allowed: []string{"debug", "info", "warn", "error"}},
	}}
	cmd := &cobra.Command{
		Use: "controller", Short: "Run the router between Kubernetes' CSI sidecars and the agents",
		Long: `Serves CSI to external-provisioner, external-resizer and external-snapshotter on a unix socket,
and forwards each call to the agent on the node that the call is about. Agents are the pods in
the install's namespace with the labels app.kubernetes.io/name=loam and
app.kubernetes.io/component=agent. It speaks mTLS with them, and makes and renews the certificates for that in
Secrets, unless somebody else keeps them there. It keeps no records, so it may be restarted at
any time.`,
		Example: "  loam controller --socket /csi/csi.sock",
		Args:    words(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runController(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", a.env("KUBECONFIG", ""), "`FILE` that says how to reach Kubernetes ($KUBECONFIG) (default: as the pod it runs in)")
	f.StringVar(&o.router.Namespace, "namespace", a.env("POD_NAMESPACE", "loam-system"), "`NAMESPACE` of the agents' pods ($POD_NAMESPACE)")
	f.IntVar(&o.router.AgentPort, "agent-port", 9750, "TCP `PORT` on which agents serve CSI")
	f.StringVar(&o.router.HealthAddress, "health-address", ":9752", "TCP `ADDRESS` of /healthz, /readyz and /metrics; empty for none")
	f.Var(&o.log.logFormat, "log-format", "how to write the log")
	f.Var(&o.log.logLevel, "log-level", "what to write of it")
	for name, c := range map[string]*choice{"log-format": &o.log.logFormat, "log-level": &o.log.logLevel} {
		must(cmd.RegisterFlagCompletionFunc(name, c.complete))
	}
	return cmd
}

// runController serves until the context ends.
func (a *app) runController(ctx context.Context, o controllerOptions) error {
	options, err := a.routerOptions(o)
	if err != nil {
		return err
	}
	if err := controller.Run(ctx, options); err != nil {
		return refuse("controller: %w", err)
	}
	return nil
}

// routerOptions completes what the flags say.
func (a *app) routerOptions(o controllerOptions) (controller.Options, error) {
	r := o.router
	if r.AgentPort < 1 || r.AgentPort > 65535 {
		return r, usage("--agent-port is %d, and a TCP port is 1 to 65535", r.AgentPort)
	}
	if r.HealthAddress != "" {
		if _, _, err := net.SplitHostPort(r.HealthAddress); err != nil {
			return r, usage("--health-address is %q, and HOST:PORT or :PORT was expected", r.HealthAddress)
		}
	}
	r.Socket, r.Log, r.Version = a.socket, newLog(a.stderr, o.log), node.Version()
	var err error
	if r.Client, r.Dynamic, err = kubernetesClients(o.kubeconfig, "loam-controller", r.Log); err != nil {
		return r, refuse("controller: %w", err)
	}
	return r, nil
}
