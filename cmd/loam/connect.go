package main

import (
	"context"
	"net"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/loam-storage/loam/node/admin"
)

// agent is a running agent that a command asks.
type agent struct {
	controller csi.ControllerClient
	node       csi.NodeClient
	admin      *admin.Client
	info       admin.Info
}

// ask makes a command's body of one that needs an agent. what is what it does to its first argument, for errors:
// "create volume".
func (a *app) ask(what string, f func(ctx context.Context, g *agent, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), a.timeout)
		defer cancel()
		what := strings.Join(append([]string{what}, args[:min(1, len(args))]...), " ")
		return a.fail(ctx, what, a.connect(ctx, func(g *agent) error { return f(ctx, g, args) }))
	}
}

// connect finds the agent and lends it to f.
func (a *app) connect(ctx context.Context, f func(*agent) error) error {
	if err := a.probe(ctx); err != nil {
		return err
	}
	// The passthrough scheme hands the path to the dialler untouched; grpc's own unix scheme would parse it as a URL.
	conn, err := grpc.NewClient("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx, a.socket) }))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := admin.NewClient(admin.SocketBeside(a.socket))
	defer client.Close()
	info, err := client.Info(ctx)
	if err != nil {
		return err
	}
	return f(&agent{controller: csi.NewControllerClient(conn), node: csi.NewNodeClient(conn), admin: client, info: info})
}

// probe finds out whether somebody listens, with the kernel's own error when not: grpc has only text for that.
func (a *app) probe(ctx context.Context) error {
	conn, err := dial(ctx, a.socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
