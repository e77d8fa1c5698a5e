package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/loam-storage/loam/node"
	"github.com/loam-storage/loam/node/admin"
)

// agentOptions are the flags of `loam agent` that are not the node's as they stand.
type agentOptions struct {
	node      node.Options
	logFormat choice
	logLevel  choice
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
run as root.`,
		Example: "  loam agent --config /etc/loam/config.yaml",
		Args:    words(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runAgent(cmd.Context(), o, cmd.Flags().Changed("socket"))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.node.ConfigPath, "config", a.env("LOAM_CONFIG", "/etc/loam/config.yaml"), "configuration `FILE` ($LOAM_CONFIG)")
	f.StringVar(&o.node.NodeID, "node-id", a.env("LOAM_NODE_ID", ""), "`NAME` of this node ($LOAM_NODE_ID) (default: the host's)")
	f.StringVar(&o.node.KubeletDir, "kubelet-dir", a.env("LOAM_KUBELET_DIR", "/"), "mount only beneath this `DIRECTORY` ($LOAM_KUBELET_DIR)")
	f.StringVar(&o.node.StateDir, "state-dir", a.env("LOAM_STATE_DIR", "/var/lib/loam"), "`DIRECTORY` for the agent's own files ($LOAM_STATE_DIR)")
	f.Var(&o.logFormat, "log-format", "how to write the log")
	f.Var(&o.logLevel, "log-level", "what to write of it")
	for name, c := range map[string]*choice{"log-format": &o.logFormat, "log-level": &o.logLevel} {
		must(cmd.RegisterFlagCompletionFunc(name, c.complete))
	}
	return cmd
}

func (a *app) env(key, fallback string) string { return cmp.Or(a.getenv(key), fallback) }

// runAgent serves until the context ends.
func (a *app) runAgent(ctx context.Context, o agentOptions, socketGiven bool) error {
	options, err := a.nodeOptions(o, socketGiven)
	if err != nil {
		return err
	}
	if err := node.Run(ctx, options); err != nil {
		return refuse("agent: %w", err)
	}
	return nil
}

// nodeOptions completes what the flags say. The socket may also come from the CSI orchestrator (CSI spec, "Configuration and
// Operation": CSI_ENDPOINT), where nobody said it more plainly.
func (a *app) nodeOptions(o agentOptions, socketGiven bool) (node.Options, error) {
	n := o.node
	n.Socket, n.Log = a.socket, newLog(a.stderr, o)
	if endpoint := a.getenv("CSI_ENDPOINT"); endpoint != "" && !socketGiven && a.getenv("LOAM_SOCKET") == "" {
		path, ok := strings.CutPrefix(endpoint, "unix://")
		if !ok || !strings.HasPrefix(path, "/") {
			return n, usage("CSI_ENDPOINT is %q, and only unix:///PATH is served", endpoint)
		}
		n.Socket = path
	}
	n.AdminSocket = admin.SocketBeside(n.Socket)
	if n.NodeID == "" {
		hostname, err := os.Hostname()
		if err != nil {
			return n, refuse("this host has no name: give the node one with --node-id (%w)", err)
		}
		n.NodeID = hostname
	}
	return n, nil
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
