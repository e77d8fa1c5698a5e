package main

import (
	"context"
	"net"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/mtls"
	"github.com/loam-storage/loam/node"
	extender "github.com/loam-storage/loam/scheduler-extender"
)

// extenderOptions are the flags of `loam scheduler-extender` that are not the extender's as they stand.
type extenderOptions struct {
	extender   extender.Options
	kubeconfig string
	tls        string
	log        agentOptions // of which only the log's
}

func (a *app) extenderCommand() *cobra.Command {
	o := extenderOptions{log: agentOptions{
		logFormat: choice{value: "text", allowed: []string{"text", "json"}},
		logLevel:  choice{value: "info", allowed: []string{"debug", "info", "warn", "error"}},
	}}
	cmd := &cobra.Command{
		Use: "scheduler-extender", Short: "Tell kube-scheduler on which nodes all claims of a pod fit",
		Long: `Serves kube-scheduler's extender API (extender/v1): POST /filter and POST /prioritize. It weighs all
claims of a pod together, counts claims that are being made, and knows where snapshots are. It
reads from Kubernetes and writes nothing, so it may be restarted at any time.`,
		Example: "  loam scheduler-extender --tls-dir /etc/loam/tls",
		Args:    words(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runExtender(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", a.env("KUBECONFIG", ""), "`FILE` that says how to reach Kubernetes ($KUBECONFIG) (default: as the pod it runs in)")
	f.StringVar(&o.extender.Namespace, "namespace", a.env("POD_NAMESPACE", "loam-system"), "`NAMESPACE` where agents publish capacity ($POD_NAMESPACE)")
	f.StringVar(&o.extender.Address, "address", ":9756", "TCP `ADDRESS` for kube-scheduler")
	f.StringVar(&o.extender.HealthAddress, "health-address", ":9752", "TCP `ADDRESS` of /healthz, /readyz and /metrics; empty for none")
	f.StringVar(&o.tls, "tls-dir", "", "`DIRECTORY` with tls.crt, tls.key and ca.crt, which may change later (default: plain HTTP)")
	f.StringVar(&o.extender.ClientName, "tls-client", "", "DNS `NAME` in the certificate that clients must show (default: none is asked for)")
	f.Var(&o.log.logFormat, "log-format", "how to write the log")
	f.Var(&o.log.logLevel, "log-level", "what to write of it")
	for name, c := range map[string]*choice{"log-format": &o.log.logFormat, "log-level": &o.log.logLevel} {
		must(cmd.RegisterFlagCompletionFunc(name, c.complete))
	}
	return cmd
}

// runExtender serves until the context ends.
func (a *app) runExtender(ctx context.Context, o extenderOptions) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // most of its memory is the cluster, which stays: a quarter less
	}
	options, err := a.completeExtender(o)
	if err != nil {
		return err
	}
	if err := extender.Run(ctx, options); err != nil {
		return refuse("scheduler-extender: %w", err)
	}
	return nil
}

// completeExtender completes what the flags say.
func (a *app) completeExtender(o extenderOptions) (extender.Options, error) {
	e := o.extender
	for flag, address := range map[string]string{"--address": e.Address, "--health-address": e.HealthAddress} {
		if flag == "--health-address" && address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return e, usage("%s is %q, and HOST:PORT or :PORT was expected", flag, address)
		}
	}
	if e.ClientName != "" && o.tls == "" {
		return e, usage("--tls-client needs --tls-dir")
	}
	e.Log, e.Version = newLog(a.stderr, o.log), node.Version()
	if o.tls != "" {
		e.Certificates = mtls.NewFolder(o.tls, func(problem error) {
			if problem != nil {
				e.Log.Warn("certificates are not in use", "error", problem)
			}
		})
	}
	var err error
	if e.Client, e.Dynamic, err = kubernetesClients(o.kubeconfig, "loam-scheduler-extender", e.Log); err != nil {
		return e, refuse("scheduler-extender: %w", err)
	}
	return e, nil
}
